use super::*;
use crate::layer::fixture::content;

fn member(piece: &[u8]) -> Vec<u8> {
    Packer::new().member(piece).unwrap()
}

fn fault(member: &[u8]) -> MemberFault {
    Unpacker::new().piece(member).unwrap_err()
}

#[test]
fn a_piece_of_any_size_comes_back() {
    for size in [0, 1, 511, 70_000, PIECE_SIZE] {
        let piece = content(size);
        let member = member(&piece);
        assert_eq!(stated_length(&member), Some(member.len()));
        assert!(Unpacker::new().piece(&member).unwrap() == piece, "{size}");
    }
}

#[test]
fn a_worker_can_be_used_again_also_after_a_broken_member() {
    let piece = content(5000);
    let good = member(&piece);
    let mut unpacker = Unpacker::new();
    assert!(unpacker.piece(&good[..good.len() - 20]).is_err());
    for _ in 0..2 {
        assert_eq!(unpacker.piece(&good).unwrap(), piece);
    }
}

#[test]
fn bytes_that_do_not_compress_fit_the_limit() {
    let mut state = 1_u64;
    let piece: Vec<u8> = (0..PIECE_SIZE)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state.to_be_bytes()[0]
        })
        .collect();
    let member = member(&piece);
    assert!(member.len() > PIECE_SIZE);
    assert!(member.len() <= MEMBER_LIMIT);
}

#[test]
fn only_our_own_header_is_recognised() {
    let good = member(b"x");
    for at in 0..HEADER {
        let mut other = good.clone();
        other[at] ^= 1;
        let is_length = (16..20).contains(&at);
        assert_eq!(stated_length(&other).is_some(), is_length, "byte {at}");
    }
    assert_eq!(stated_length(&good[..HEADER - 1]), None);
}

#[test]
fn damaged_members_are_refused_by_what_is_wrong() {
    let good = member(&content(5000));
    let end = good.len();
    let flipped = |at: usize| {
        let mut damaged = good.clone();
        damaged[at] ^= 1;
        damaged
    };
    assert_eq!(fault(&flipped(end - 8)), MemberFault::Checksum);
    assert_eq!(fault(&flipped(end - 4)), MemberFault::Size);
    assert_eq!(fault(&flipped(end - 1)), MemberFault::Size);
    assert_eq!(fault(&good[..HEADER + 7]), MemberFault::Length(HEADER + 7));
    assert!(matches!(
        fault(&flipped(HEADER + 3)),
        MemberFault::Deflate | MemberFault::Size | MemberFault::Checksum
    ));
}

#[test]
fn bytes_between_content_and_trailer_are_refused() {
    // `gunzip` would read them as another member: the layer would mean two things.
    let good = member(b"content");
    let (front, trailer) = good.split_at(good.len() - 8);
    let hidden = [front, b"hidden", trailer].concat();
    assert_eq!(fault(&hidden), MemberFault::Deflate);
}

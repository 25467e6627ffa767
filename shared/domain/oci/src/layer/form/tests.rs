use std::io::Write;

use super::*;

/// The layout in a file made of these parts; `gap` stands for the pieces.
fn layout_of(gap: u64, tail: &[u8], rest: &[u8], limit: u64) -> Result<Layout, LayerError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&header()).unwrap();
    // Sparse: the pieces are not looked at here.
    file.seek(SeekFrom::Current(i64::try_from(gap).unwrap()))
        .unwrap();
    file.write_all(tail).unwrap();
    file.write_all(rest).unwrap();
    let size = file.metadata().unwrap().len();
    Layout::read(&mut file, size, limit)
}

fn fault(result: Result<Layout, LayerError>) -> FormFault {
    match result {
        Err(LayerError::Form(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

fn archive_size(pieces: usize, last: usize) -> u64 {
    ((pieces - 1) * PIECE_SIZE + last) as u64
}

#[test]
fn a_layout_of_any_length_comes_back() {
    for (pieces, last) in [
        (1, 1),
        (1, PIECE_SIZE),
        (LENGTHS, 77),
        (LENGTHS + 1, 77),
        (3 * LENGTHS, PIECE_SIZE),
    ] {
        let packed_lengths: Vec<u32> = (0..pieces).map(|n| 5 + n as u32 % 900).collect();
        let gap = packed_lengths.iter().copied().map(u64::from).sum();
        let at = (HEADER + TAIL) as u64 + gap;
        let tail = tail(0xabcd, archive_size(pieces, last));
        let rest = index_and_footer(&packed_lengths, at);
        assert_eq!(
            layout_of(gap, &tail, &rest, 1 << 40).unwrap(),
            Layout {
                packed_lengths,
                last_size: last,
                checksum: 0xabcd
            },
            "{pieces}"
        );
    }
}

#[test]
fn index_members_add_nothing_for_ordinary_readers() {
    let bytes = index_and_footer(&vec![7; 2 * LENGTHS + 1], 5);
    let mut content = Vec::new();
    flate2::read::MultiGzDecoder::new(&bytes[..])
        .read_to_end(&mut content)
        .unwrap();
    assert_eq!(content, b"");
    let members = 3;
    assert_eq!(
        bytes.len(),
        4 * (2 * LENGTHS + 1) + members * (START + TAIL) + FOOTER
    );
}

#[test]
fn only_our_own_header_is_recognised() {
    let ours = header();
    assert_eq!(ours.len(), HEADER);
    assert!(is_claimed(&ours));
    for at in 0..HEADER {
        let mut other = ours.clone();
        other[at] ^= 1;
        assert!(!is_claimed(&other), "byte {at}");
    }
    assert!(!is_claimed(&ours[..HEADER - 1]));
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let at = (HEADER + TAIL) as u64 + 30;
    let size = archive_size(2, 9);
    let good = || (tail(1, size).to_vec(), index_and_footer(&[10, 20], at));
    let read = |(tail, rest): (Vec<u8>, Vec<u8>)| layout_of(30, &tail, &rest, 1 << 30);
    assert!(read(good()).is_ok());

    // Every bit in front of and in the index counts, apart from checksum and size of the archive.
    let footer_start = good().1.len() - FOOTER;
    for bit in 0..good().1.len() * 8 {
        let (tail, mut rest) = good();
        rest[bit / 8] ^= 1 << (bit % 8);
        let fault = fault(read((tail, rest)));
        let position = footer_start + START..footer_start + START + 8;
        if bit / 8 < footer_start {
            assert!(
                matches!(fault, FormFault::Index | FormFault::Lengths),
                "{bit}: {fault:?}"
            );
        } else if !position.contains(&(bit / 8)) {
            assert_eq!(fault, FormFault::Footer, "{bit}");
        }
    }
    for at in 0..2 {
        let (mut tail, rest) = good();
        tail[at] ^= 1;
        assert_eq!(fault(read((tail, rest))), FormFault::End);
    }
    for (size, valid) in [
        (size - 9, false),
        (size - 9 + PIECE_SIZE as u64, true),
        (1, false),
    ] {
        let result = read((tail(1, size).to_vec(), good().1));
        assert_eq!(result.is_ok(), valid, "{size}");
    }
    let cases: [(&str, Vec<u8>, FormFault); 7] = [
        ("nothing", Vec::new(), FormFault::Footer),
        ("no pieces", index_and_footer(&[], at), FormFault::Lengths),
        (
            "too few",
            index_and_footer(&[10, 19], at),
            FormFault::Lengths,
        ),
        (
            "an empty piece",
            index_and_footer(&[0, 30], at),
            FormFault::Lengths,
        ),
        (
            "index further on",
            index_and_footer(&[10, 20], at + 1),
            FormFault::Index,
        ),
        (
            "index in the header",
            index_and_footer(&[10, 20], 3),
            FormFault::Index,
        ),
        (
            "something behind",
            [good().1, vec![0]].concat(),
            FormFault::Footer,
        ),
    ];
    for (name, rest, expected) in cases {
        assert_eq!(fault(read((good().0, rest))), expected, "{name}");
    }
}

#[test]
fn a_piece_longer_than_any_is_refused() {
    let gap = PACKED_LIMIT as u64 + 1;
    let rest = index_and_footer(&[gap as u32], (HEADER + TAIL) as u64 + gap);
    let result = layout_of(gap, &tail(1, 5), &rest, 1 << 30);
    assert_eq!(fault(result), FormFault::Lengths);
}

#[test]
fn an_index_longer_than_the_limit_allows_is_not_read() {
    let limit = 3 * PIECE_SIZE as u64;
    for pieces in [5, LENGTHS, 2 * LENGTHS] {
        let gap = pieces as u64 * 6;
        let rest = index_and_footer(&vec![6; pieces], (HEADER + TAIL) as u64 + gap);
        let tail = tail(1, archive_size(pieces, 1));
        let result = layout_of(gap, &tail, &rest, limit);
        assert!(
            matches!(result, Err(LayerError::TooLarge { .. })),
            "{result:?}"
        );
    }
}

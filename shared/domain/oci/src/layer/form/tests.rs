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

/// Whole pieces of these compressed lengths.
fn pieces_of(packed: &[u32]) -> Vec<PieceSizes> {
    let piece = |packed: &u32| PieceSizes {
        packed: *packed,
        unpacked: PIECE_SIZE as u32,
    };
    packed.iter().map(piece).collect()
}

#[test]
fn a_layout_of_any_length_comes_back() {
    for (pieces, last) in [
        (1, BLOCK),
        (1, PIECE_SIZE),
        (PIECES, 3 * BLOCK),
        (PIECES + 1, 3 * BLOCK),
        (3 * PIECES, PIECE_SIZE),
    ] {
        let mut sizes: Vec<PieceSizes> = (0..pieces as u32)
            .map(|n| PieceSizes {
                packed: 5 + n % 900,
                unpacked: BLOCK as u32 * (1 + n % 2048),
            })
            .collect();
        sizes[pieces - 1].unpacked = last as u32;
        let gap = sizes.iter().map(|piece| u64::from(piece.packed)).sum();
        let archive = sizes.iter().map(|piece| u64::from(piece.unpacked)).sum();
        let at = (HEADER + TAIL) as u64 + gap;
        let tail = tail(0xabcd, archive);
        let rest = index_and_footer(&sizes, at);
        let layout = Layout {
            pieces: sizes,
            checksum: 0xabcd,
        };
        assert_eq!(layout_of(gap, &tail, &rest, 1 << 40).unwrap(), layout);
    }
}

#[test]
fn index_members_add_nothing_for_ordinary_readers() {
    let bytes = index_and_footer(&pieces_of(&vec![7; 2 * PIECES + 1]), 5);
    let mut content = Vec::new();
    flate2::read::MultiGzDecoder::new(&bytes[..])
        .read_to_end(&mut content)
        .unwrap();
    assert_eq!(content, b"");
    let members = 3;
    assert_eq!(
        bytes.len(),
        ROW * (2 * PIECES + 1) + members * (START + TAIL) + FOOTER
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
    let size = 2 * PIECE_SIZE as u64;
    let rest_of = |packed: &[u32], at| index_and_footer(&pieces_of(packed), at);
    let good = || (tail(1, size).to_vec(), rest_of(&[10, 20], at));
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
                matches!(
                    fault,
                    FormFault::Index | FormFault::Lengths | FormFault::End
                ),
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
    for size in [size - 9, size + 1, 1] {
        let result = read((tail(1, size).to_vec(), good().1));
        assert_eq!(fault(result), FormFault::End, "{size}");
    }
    for unpacked in [0, 1, 513, (PIECE_SIZE + BLOCK) as u32] {
        let mut pieces = pieces_of(&[10, 20]);
        pieces[0].unpacked = unpacked;
        let size = u64::from(unpacked) + PIECE_SIZE as u64;
        let result = read((tail(1, size).to_vec(), index_and_footer(&pieces, at)));
        assert_eq!(fault(result), FormFault::Lengths, "{unpacked}");
    }
    let cases: [(&str, Vec<u8>, FormFault); 7] = [
        ("nothing", Vec::new(), FormFault::Footer),
        ("no pieces", rest_of(&[], at), FormFault::Lengths),
        ("too few", rest_of(&[10, 19], at), FormFault::Lengths),
        ("an empty piece", rest_of(&[0, 30], at), FormFault::Lengths),
        (
            "index further on",
            rest_of(&[10, 20], at + 1),
            FormFault::Index,
        ),
        (
            "index in the header",
            rest_of(&[10, 20], 3),
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
    let rest = index_and_footer(&pieces_of(&[gap as u32]), (HEADER + TAIL) as u64 + gap);
    let result = layout_of(gap, &tail(1, PIECE_SIZE as u64), &rest, 1 << 30);
    assert_eq!(fault(result), FormFault::Lengths);
}

#[test]
fn an_index_longer_than_the_limit_allows_is_not_read() {
    let limit = 3 * PIECE_SIZE as u64;
    for pieces in [770, PIECES, 2 * PIECES] {
        let gap = pieces as u64 * 6;
        let sizes = pieces_of(&vec![6; pieces]);
        let rest = index_and_footer(&sizes, (HEADER + TAIL) as u64 + gap);
        let tail = tail(1, (pieces * PIECE_SIZE) as u64);
        let result = layout_of(gap, &tail, &rest, limit);
        assert!(
            matches!(result, Err(LayerError::TooLarge { .. })),
            "{result:?}"
        );
    }
}

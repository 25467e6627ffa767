//! The lines of Git's protocol: four digits of length, then bytes; and the bands that are in some of them.

use std::io::{self, Read};

use crate::fault::Fault;

/// Longest line, with its length.
const LONGEST: usize = 65_520;

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// With these bytes.
    Data(&'a [u8]),
    /// The end of a part.
    Flush,
}

/// The lines of a stream.
pub(crate) struct Lines<R> {
    input: R,
    line: Vec<u8>,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        let line = Vec::new();
        Self { input, line }
    }

    /// The next line; none at the end.
    ///
    /// # Errors
    /// [`Fault`] of the stream, and for what is no line.
    pub(crate) fn next(&mut self) -> Result<Option<Line<'_>>, Fault> {
        const ODD: Fault = Fault::Protocol("a line has no length");
        let mut length = [0; 4];
        let mut read = 0;
        while let Some(rest) = length.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.input.read(rest) {
                Ok(0) if read == 0 => return Ok(None),
                Ok(0) => return Err(Fault::Cut(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::of_reading(error)),
            }
        }
        let length = std::str::from_utf8(&length).map_err(|_| ODD)?;
        let length = usize::from_str_radix(length, 16).map_err(|_| ODD)?;
        match length {
            0 => return Ok(Some(Line::Flush)),
            4..=LONGEST => {}
            _ => return Err(ODD),
        }
        self.line.resize(length - 4, 0);
        let filled = self.input.read_exact(&mut self.line);
        filled.map_err(Fault::of_reading)?;
        Ok(Some(Line::Data(&self.line)))
    }

    /// The bytes of what follows in bands.
    pub(crate) fn into_band(mut self) -> Band<R> {
        // What was read before is in no band.
        self.line.clear();
        Band {
            lines: self,
            at: 1,
            ended: false,
        }
    }
}

/// A line with these bytes.
pub(crate) fn line(bytes: &[u8]) -> Vec<u8> {
    let mut line = format!("{:04x}", bytes.len() + 4).into_bytes();
    line.extend_from_slice(bytes);
    line
}

/// The end of a part.
pub(crate) const FLUSH: &[u8] = b"0000";

/// The first of the bands of a stream: what it is about. The second tells people how far it is; the third says that it
/// failed.
pub(crate) struct Band<R> {
    lines: Lines<R>,
    /// Where the line goes on that is in the buffer; the first byte names the band.
    at: usize,
    ended: bool,
}

impl<R: Read> Read for Band<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(rest) = self
                .lines
                .line
                .get(self.at..)
                .filter(|rest| !rest.is_empty())
            {
                let count = rest.len().min(buffer.len());
                let (now, _) = buffer.split_at_mut(count);
                now.copy_from_slice(rest.get(..count).unwrap_or_default());
                self.at += count;
                return Ok(count);
            }
            if self.ended {
                return Ok(0);
            }
            // What is read next stands in the same place.
            self.at = 1;
            match self.lines.next().map_err(io::Error::other)? {
                None | Some(Line::Flush) => {
                    self.ended = true;
                    self.lines.line.clear();
                }
                Some(Line::Data([1, ..])) => {}
                Some(Line::Data([2, ..])) => self.lines.line.clear(),
                Some(Line::Data([3, said @ ..])) => {
                    return Err(io::Error::other(Fault::Said(text(said))));
                }
                Some(Line::Data(_)) => {
                    let odd = Fault::Protocol("a line is of no band");
                    return Err(io::Error::other(odd));
                }
            }
        }
    }
}

/// What a server says, for people: one line, as long as it says it.
pub(crate) fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_to_the_end() {
        let stream = [&line(b"one\n")[..], FLUSH, &line(b"")].concat();
        let mut lines = Lines::new(&stream[..]);
        assert_eq!(lines.next().unwrap(), Some(Line::Data(b"one\n")));
        assert_eq!(lines.next().unwrap(), Some(Line::Flush));
        assert_eq!(lines.next().unwrap(), Some(Line::Data(b"")));
        assert_eq!(lines.next().unwrap(), None);
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for odd in ["<html>", "0003", "fff9", "00", "0009abc"] {
            assert!(Lines::new(odd.as_bytes()).next().is_err(), "{odd}");
        }
    }

    #[test]
    fn what_breaks_off_may_pass() {
        for cut in ["0", "00", "0009abc"] {
            let fault = Lines::new(cut.as_bytes()).next().unwrap_err();
            assert!(matches!(fault, Fault::Cut(_)), "{cut}: {fault}");
        }
    }

    #[test]
    fn bands_are_told_apart() {
        let stream = [
            &line(b"\x01ab")[..],
            &line(b"\x02half\r"),
            &line(b"\x01c"),
            FLUSH,
        ];
        let mut read = Vec::new();
        let stream = [line(b"NAK\n"), stream.concat()].concat();
        let mut lines = Lines::new(&stream[..]);
        lines.next().unwrap();
        lines.into_band().read_to_end(&mut read).unwrap();
        assert_eq!(read, b"abc");
        let failed = line(b"\x03access\x07 denied\n");
        let error = Lines::new(&failed[..]).into_band().read(&mut [0; 8]);
        let fault = Fault::of_reading(error.unwrap_err());
        assert!(matches!(fault, Fault::Said(said) if said == "access  denied"));
    }
}

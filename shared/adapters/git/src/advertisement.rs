//! What a server says first: its branches, and what it can do.

use std::io::Read;

use git2::Oid;

use crate::fault::Fault;
use crate::packet::{Line, Lines, text};

/// What is kept of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Advertisement {
    /// The head of the branch, if it is there.
    pub(crate) head: Option<Oid>,
    capabilities: Vec<String>,
}

impl Advertisement {
    /// Reads it for a branch.
    ///
    /// # Errors
    /// [`Fault`]; also for objects that are named in another way than by SHA-1.
    pub(crate) fn read(input: impl Read, branch: &str) -> Result<Self, Fault> {
        const ODD: Fault = Fault::Protocol("its branches cannot be read");
        let wanted = format!("refs/heads/{branch}");
        let (mut lines, mut found, mut is_first) = (Lines::new(input), Self::default(), true);
        while let Some(line) = lines.next()? {
            let Line::Data(line) = line else { continue };
            if line.starts_with(b"#") {
                continue;
            }
            if let Some(said) = line.strip_prefix(b"ERR ") {
                return Err(Fault::Said(text(said)));
            }
            // Names need not be text; that of the branch is.
            let line = String::from_utf8_lossy(line);
            let line = line.strip_suffix('\n').unwrap_or(&line);
            let (line, capabilities) = match line.split_once('\0') {
                Some((line, capabilities)) if is_first => (line, capabilities),
                Some(_) => return Err(ODD),
                None => (line, ""),
            };
            if is_first {
                found.capabilities = capabilities.split(' ').map(str::to_owned).collect();
            }
            is_first = false;
            // Commits at which histories end stand behind the branches.
            let Some((id, name)) = line.split_once(' ').filter(|(id, _)| *id != "shallow") else {
                continue;
            };
            if name == wanted {
                found.head = Some(Oid::from_str(id).map_err(|_| ODD)?);
            }
        }
        let has = |format: &str| format.starts_with("object-format=") && !format.ends_with("=sha1");
        match found.capabilities.iter().any(|format| has(format)) {
            true => Err(Fault::Protocol(
                "it names objects in a way that is not known here",
            )),
            false => Ok(found),
        }
    }

    /// Whether the server can do something.
    pub(crate) fn can(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|known| known == capability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{FLUSH, line};

    const ID: &str = "89ac65c2c4c6d2f2b5d8b7a4bb0a1e7b4c1f2d3e";

    fn said(first: &str) -> Vec<u8> {
        [
            &line(b"# service=git-upload-pack\n")[..],
            FLUSH,
            &line(first.as_bytes()),
            &line(format!("{ID} refs/heads/v4.6\n").as_bytes()),
            FLUSH,
        ]
        .concat()
    }

    #[test]
    fn a_branch_is_found_and_what_the_server_can_do() {
        let said = said(&format!("{ID} HEAD\0shallow filter agent=git/2\n"));
        let found = Advertisement::read(&said[..], "v4.6").unwrap();
        assert_eq!(found.head, Some(Oid::from_str(ID).unwrap()));
        assert!(found.can("filter") && !found.can("agent"));
        let found = Advertisement::read(&said[..], "v4").unwrap();
        assert_eq!(found.head, None);
    }

    #[test]
    fn names_that_are_no_text_are_passed_over() {
        let odd = [ID.as_bytes(), b" refs/tags/caf\xe9\n"].concat();
        let said = [
            &line(format!("{ID} HEAD\0shallow\n").as_bytes())[..],
            &line(&odd),
        ]
        .concat();
        let said = [said, line(format!("{ID} refs/heads/v4.6\n").as_bytes())].concat();
        let found = Advertisement::read(&said[..], "v4.6").unwrap();
        assert_eq!(found.head, Some(Oid::from_str(ID).unwrap()));
    }

    #[test]
    fn a_repository_with_longer_names_is_refused() {
        let said = said(&format!("{ID} HEAD\0object-format=sha256\n"));
        assert!(Advertisement::read(&said[..], "v4.6").is_err());
    }
}

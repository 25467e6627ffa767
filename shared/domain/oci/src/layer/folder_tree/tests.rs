use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::layer::fixture::{Archive, entry_path, open};

/// A file that shows what it has become when it is closed.
struct Sink {
    path: String,
    content: Vec<u8>,
    closed: Rc<RefCell<BTreeMap<String, String>>>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.content.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let content = String::from_utf8(self.content.clone()).unwrap();
        let before = (self.closed.borrow_mut()).insert(self.path.clone(), content);
        assert_eq!(before, None, "{} is written twice", self.path);
        Ok(())
    }
}

type Shown = Option<(Vec<(String, String)>, Vec<String>)>;

/// Files with their contents, and directories; layers from the top one down.
fn tree(layers: Vec<Archive>) -> Result<Shown, LayerError> {
    let mut tree = FolderTree::new(vec![configs()], 20);
    let closed = Rc::new(RefCell::new(BTreeMap::new()));
    for layer in layers {
        tree.apply(&mut open(&layer.end()), |path, _| {
            Ok(Sink {
                path: below(path),
                content: Vec::new(),
                closed: closed.clone(),
            })
        })?;
    }
    let found = tree.has(&configs());
    let directories = tree.into_directories();
    Ok(found.then(|| {
        let files = closed.borrow().clone().into_iter().collect();
        (files, directories.keys().map(below).collect())
    }))
}

fn configs() -> Part {
    Part::Folder(entry_path("configs"))
}

fn below(path: &EntryPath) -> String {
    let below = path.as_str().strip_prefix("configs").unwrap();
    below.trim_start_matches('/').to_owned()
}

fn layer(files: &[&str], name: &str) -> Archive {
    files.iter().fold(Archive::default(), |archive, path| {
        match path.strip_suffix('/') {
            Some(directory) => archive.directory(directory),
            None => archive.file(path, name.as_bytes()),
        }
    })
}

fn names(layers: &[&[&str]]) -> Result<String, LayerError> {
    let layers = layers.iter().enumerate();
    let layers = layers.map(|(at, files)| layer(files, &at.to_string()));
    let shown = tree(layers.collect())?;
    Ok(match shown {
        Some((files, _)) => {
            let files: Vec<String> = (files.iter())
                .map(|(path, layer)| format!("{path}={layer}"))
                .collect();
            files.join(" ")
        }
        None => "nothing".to_owned(),
    })
}

#[test]
fn higher_layers_count() {
    for (layers, shown) in [
        (
            &[&["configs/a/x", "etc/x"][..], &["configs/b", "configs/a/x"]][..],
            "a/x=0 b=1",
        ),
        (&[&["etc/configs/a"]], "nothing"),
        (&[&["configs/"]], ""),
        (
            &[&["configs/.wh.a"], &["configs/a/x", "configs/ab"]],
            "ab=1",
        ),
        (
            &[
                &["configs/a/.wh..wh..opq", "configs/a/y"],
                &["configs/a/x", "configs/b"],
            ],
            "a/y=0 b=1",
        ),
        (&[&[".wh.configs"], &["configs/a"]], "nothing"),
        (&[&["configs/a", ".wh.configs"], &["configs/b"]], "a=0"),
        (&[&[".wh..wh..opq"], &["configs/a"]], "nothing"),
        // A file in place of a directory, and the other way round.
        (&[&["configs/a"], &["configs/a/x", "configs/b"]], "a=0 b=1"),
        (&[&["configs/a/x"], &["configs/a"]], "a/x=0"),
        (&[&["configs/a/"], &["configs/a"]], ""),
        (&[&["configs/a"], &["configs/a/"]], "a=0"),
    ] {
        assert_eq!(names(layers).unwrap(), shown, "{layers:?}");
    }
}

#[test]
fn directories_have_the_bits_of_the_highest_layer() {
    let layers = vec![
        layer(&["configs/a/", "configs/b/c"], "0"),
        layer(&["configs/", "configs/a/", "configs/d/"], "1"),
    ];
    let (_, directories) = tree(layers).unwrap().unwrap();
    assert_eq!(directories, ["", "a", "d"]);
}

#[test]
fn what_is_no_file_or_comes_twice_is_refused() {
    let link = |path: &str| Archive::default().entry(b'2', path.as_bytes(), b"");
    for (archive, wanted) in [
        (link("configs"), Refusal::NotADirectory),
        (link("configs/a"), Refusal::NotAFile),
        (layer(&["configs/a", "configs/a"], ""), Refusal::Duplicate),
        (layer(&["configs/a", "configs/a/"], ""), Refusal::Duplicate),
        (layer(&["configs/a/", "configs/a"], ""), Refusal::Duplicate),
        (layer(&["configs/a", "configs/a/b"], ""), Refusal::Duplicate),
        (layer(&["configs/a/b", "configs/a"], ""), Refusal::Duplicate),
    ] {
        match tree(vec![archive]).unwrap_err() {
            LayerError::Refused { reason, .. } => assert_eq!(reason, wanted),
            other => panic!("{other:?}"),
        }
    }
    // Elsewhere, or hidden, it does not matter.
    let elsewhere = tree(vec![
        layer(&["configs/.wh.a"], ""),
        link("configs/a"),
        link("bin"),
    ]);
    assert_eq!(elsewhere.unwrap(), None);
}

#[test]
fn there_is_a_most() {
    let many: Vec<String> = (0..21).map(|at| format!("configs/{at}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused = names(&[&many]).unwrap_err();
    assert!(matches!(refused, LayerError::TooManyFiles { limit: 20 }));
    let hidden: Vec<String> = (0..21).map(|at| format!("configs/.wh.{at}")).collect();
    let hidden: Vec<&str> = hidden.iter().map(String::as_str).collect();
    assert!(names(&[&hidden, &["configs/a"]]).is_err());
    assert_eq!(names(&[&many[..20]]).unwrap().split(' ').count(), 20);
}

fn links(layers: Vec<Archive>) -> Result<Vec<Link>, LayerError> {
    let mut tree = FolderTree::new(vec![configs()], 200);
    for layer in layers {
        tree.apply(&mut open(&layer.end()), |_, _| Ok(io::sink()))?;
    }
    let links = tree.links().to_vec();
    // They are files of the folder, whatever they are other names of.
    assert!(links.is_empty() || tree.has(&configs()));
    Ok(links)
}

#[test]
fn hard_links_are_told_with_what_they_name() {
    let top = Archive::default()
        .directory("/")
        .file("/configs/a.yaml", b"a")
        .link("configs/b.yaml", b"/configs/a.yaml")
        .link("configs/c.yaml", b"usr/share/c.yaml");
    let lower = Archive::default()
        .link("configs/c.yaml", b"hidden/by/the/top")
        .link("configs/d.yaml", b"configs/a.yaml");
    let found = links(vec![top, lower]).unwrap();
    let told: Vec<_> = found
        .iter()
        .map(|link| {
            (
                link.path.as_str(),
                link.target.as_str(),
                link.is_read,
                link.layer,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("configs/b.yaml", "configs/a.yaml", true, 0),
            ("configs/c.yaml", "usr/share/c.yaml", false, 0),
            // The file of that name in the layer above is another one.
            ("configs/d.yaml", "configs/a.yaml", false, 1),
        ]
    );
}

#[test]
fn links_that_cannot_be_followed_are_refused() {
    let many = (0..65).fold(Archive::default(), |archive, number| {
        archive.link(&format!("configs/{number}"), b"usr/x")
    });
    let error = links(vec![many]).unwrap_err();
    assert!(
        matches!(error, LayerError::TooManyLinks { limit: 64 }),
        "{error}"
    );
    for target in [&b"../x"[..], b""] {
        let layer = Archive::default().link("configs/a", target);
        assert!(links(vec![layer]).is_err());
    }
    let twice = Archive::default()
        .file("configs/a", b"")
        .link("configs/a", b"x");
    assert!(links(vec![twice]).is_err());
}

#[test]
fn what_is_no_file_is_refused_in_the_folder_and_passed_over_elsewhere() {
    for (kind, name) in [
        (b'3', &b"dev"[..]),
        (b'6', b"pipe"),
        (b'2', b"symlink"),
        (b'0', b"caf\xe9"),
    ] {
        let at = |folder: &[u8]| [folder, name].concat();
        let elsewhere = Archive::default().entry(kind, &at(b"usr/"), b"");
        assert_eq!(links(vec![elsewhere]).unwrap(), []);
        let inside = Archive::default().entry(kind, &at(b"configs/"), b"");
        assert!(links(vec![inside]).is_err());
    }
}

#[test]
fn several_parts_are_taken_in_one_go() {
    let hidden = Part::File(entry_path("var/lib/hidden.db"));
    let layers = [
        layer(&["configs/a", "var/lib/other.db"], "top"),
        layer(&["var/lib/hidden.db", "configs-of-others/b"], "middle"),
        layer(&["var/lib/hidden.db", "configs/b"], "low"),
    ];
    let mut tree = FolderTree::new(vec![configs(), hidden.clone()], 20);
    let (mut files, mut seen) = (Vec::new(), Vec::new());
    for layer in layers {
        tree.apply(&mut open(&layer.end()), |path, _| {
            files.push(path.to_string());
            Ok(io::sink())
        })
        .unwrap();
        seen.push((tree.has(&configs()), tree.has(&hidden), tree.is_settled()));
    }
    assert_eq!(files, ["configs/a", "var/lib/hidden.db", "configs/b"]);
    let either = (true, true, false);
    assert_eq!(seen, [(true, false, false), either, either]);
    // What is to be a file and is none, or leads through one.
    for entries in [&["var/lib/hidden.db/"][..], &["var/lib"]] {
        let mut tree = FolderTree::new(vec![hidden.clone()], 20);
        let refused = tree.apply(&mut open(&layer(entries, "").end()), |_, _| Ok(io::sink()));
        assert!(refused.is_err(), "{entries:?}");
    }
    let mut tree = FolderTree::new(vec![hidden.clone()], 20);
    let whole = layer(&["var/lib/hidden.db"], "");
    tree.apply(&mut open(&whole.end()), |_, _| Ok(io::sink()))
        .unwrap();
    assert!(tree.is_settled() && !tree.has(&configs()));
}

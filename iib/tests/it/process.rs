//! The built command, as a process.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

/// `iib serve` on free ports. Killed when dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) api: String,
    pub(crate) registry: String,
}

/// The command with these words, in an environment without settings.
pub(crate) fn iib(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iib"));
    command.args(words).env_clear();
    command
}

pub(crate) fn run(words: &[&str]) -> Output {
    iib(words).output().unwrap()
}

impl Server {
    /// Starts on these addresses and waits until it says where it is.
    pub(crate) fn start(data_folder: &Path, api: &str, registry: &str) -> Self {
        let command = iib(&["serve", "--listen", api, "--registry-listen", registry]);
        Self::spawn(command, data_folder)
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Starts a `serve` command over a data folder.
    pub(crate) fn spawn(command: Command, data_folder: &Path) -> Self {
        Self::logging_to(command, data_folder, Stdio::null())
    }

    /// The same with a place for its log.
    pub(crate) fn logging_to(mut command: Command, data_folder: &Path, log: Stdio) -> Self {
        let mut process = command
            .arg("--data-folder")
            .arg(data_folder)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        // Whatever it says, up to the last line: a pipe that is closed early would end the service.
        let mut said = BTreeMap::new();
        while !said.contains_key("data") {
            let line = lines.next().expect("the service ended at its start");
            let line = line.unwrap();
            let mut words = line.split_whitespace().map(str::to_owned);
            let (Some(label), Some(word)) = (words.next(), words.next()) else {
                panic!("{line}")
            };
            said.insert(label, word);
        }
        let api = said.remove("api").unwrap();
        // There is none of its own where results go elsewhere.
        let registry = said.remove("registry").unwrap_or_default();
        Self {
            process,
            api: api.trim_end_matches("/api/v1").to_owned(),
            registry,
        }
    }

    /// What the system says of the process in a file.
    pub(crate) fn told(&self, file: &str) -> Vec<u8> {
        std::fs::read(format!("/proc/{}/{file}", self.process.id())).unwrap()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stopped(&mut self) -> ExitStatus {
        let id = self.process.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status();
        assert!(asked.unwrap().success());
        self.process.wait().unwrap()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

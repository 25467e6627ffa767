//! The built binary of a function, as a process under a simulated Lambda Runtime API.
//!
//! For tests on tokio's single-threaded runtime: the simulator's wait could miss a response that
//! another thread takes in at the same moment, and would then last until its limit.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a function that does not run fails the test"
)]

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use lambda_simulator::{InvocationStatus, Simulator};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The time of an invocation, far more than the slowest machine needs. It has to be much more
/// than what `iib_edge::sqs` keeps back of it, or no message would be begun at all.
const LIMIT: Duration = Duration::from_secs(60);

/// A function that runs. Killed when dropped.
#[expect(missing_debug_implementations, reason = "the simulator has none")]
pub struct Function {
    simulator: Simulator,
    process: Child,
    /// What the process wrote, on both streams.
    log: NamedTempFile,
}

impl Function {
    /// Starts a binary with the environment that Lambda gives it, these settings, and nothing
    /// else.
    pub async fn start(binary: &str, settings: &[(&str, String)]) -> Self {
        let simulator = Simulator::builder()
            .invocation_timeout(LIMIT)
            .build()
            .await
            .unwrap();
        let log = NamedTempFile::new().unwrap();
        // One handle for both streams, so that neither writes over the other.
        let output = log.reopen().unwrap();
        let process = Command::new(binary)
            .env_clear()
            .envs(simulator.lambda_env_vars())
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            simulator,
            process,
            log,
        }
    }

    /// Hands an event over and gives the function's response.
    pub async fn invoke(&mut self, event: &Value) -> Value {
        let id = self.simulator.enqueue_payload(event.clone()).await;
        let completed = self.simulator.wait_for_invocation_complete(&id, LIMIT);
        let state = tokio::select! {
            state = completed => state.unwrap_or_else(|error| panic!("{error}: {}", self.log())),
            ended = self.process.wait() => panic!("ended, {}: {}", ended.unwrap(), self.log()),
        };
        match (state.response, state.error) {
            (Some(response), None) => response.payload,
            (_, error) => panic!("no response but {error:?}: {}", self.log()),
        }
    }

    /// Ends the process the way Lambda does, without a warning.
    pub async fn stop(mut self) {
        self.process.kill().await.unwrap();
    }

    /// Without the settings that the template makes, the process has to end before it takes an
    /// event, and to say which are missing.
    pub async fn assert_that_missing_settings_are_named(self) {
        let (status, log) = self.refusal().await;
        assert!(!status.success(), "{log}");
        for name in ["IIB_TABLE", "IIB_BUCKET", "IIB_REGISTRY"] {
            assert!(log.contains(name), "no {name} in: {log}");
        }
    }

    /// Waits until the process ends by itself and gives what it wrote. An event that waits for
    /// it must still wait then.
    pub async fn refusal(mut self) -> (ExitStatus, String) {
        let id = self.simulator.enqueue_payload(json!({})).await;
        let ended = timeout(LIMIT, self.process.wait()).await;
        let status = ended.unwrap_or_else(|_| panic!("still runs: {}", self.log()));
        let event = self.simulator.get_invocation_state(&id).await.unwrap();
        assert_eq!(
            event.status,
            InvocationStatus::Pending,
            "an event was taken: {}",
            self.log()
        );
        (status.unwrap(), self.log())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }
}

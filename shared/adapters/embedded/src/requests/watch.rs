//! Waiting for changes: whoever writes a request wakes those who wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use iib_ports::{StoreError, Waited, Watch};
use iib_request::RequestId;
use rusqlite::OptionalExtension as _;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::failed;
use crate::database::Database;

/// Who waits for which request: the versions that were written since somebody does.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    requests: Mutex<HashMap<RequestId, watch::Sender<u64>>>,
    stop: CancellationToken,
}

impl Watched {
    /// Tells that a request is of this version now.
    pub(super) fn tell(&self, id: RequestId, version: u64) {
        if let Some(sender) = self.lock().get(&id) {
            // Writers may come here in another order.
            sender.send_if_modified(|told| {
                let is_newer = version > *told;
                *told = version.max(*told);
                is_newer
            });
        }
    }

    fn listen(self: &Arc<Self>, id: RequestId) -> Listener {
        let receiver = self
            .lock()
            .entry(id)
            .or_insert_with(|| watch::Sender::new(0))
            .subscribe();
        Listener {
            watched: self.clone(),
            id,
            receiver: Some(receiver),
        }
    }

    // It is changed by nothing that can panic halfway.
    fn lock(&self) -> MutexGuard<'_, HashMap<RequestId, watch::Sender<u64>>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for a request.
struct Listener {
    watched: Arc<Watched>,
    id: RequestId,
    receiver: Option<watch::Receiver<u64>>,
}

impl Listener {
    async fn newer_than(&mut self, known: u64) {
        if let Some(receiver) = &mut self.receiver {
            // The sender stays while there is a receiver.
            let _ = receiver.wait_for(|version| *version > known).await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.receiver = None;
        let mut requests = self.watched.lock();
        let is_last = |sender: &watch::Sender<u64>| sender.receiver_count() == 0;
        if requests.get(&self.id).is_some_and(is_last) {
            requests.remove(&self.id);
        }
    }
}

/// Waits for what this process writes; nobody else does.
#[derive(Debug, Clone)]
pub struct SqliteWatch {
    database: Database,
    watched: Arc<Watched>,
    places: Arc<Semaphore>,
}

impl SqliteWatch {
    pub(crate) fn new(database: Database, watched: Arc<Watched>, limit: u32) -> Self {
        let places = (limit as usize).min(Semaphore::MAX_PERMITS);
        Self {
            database,
            watched,
            places: Arc::new(Semaphore::new(places)),
        }
    }

    /// Ends all waiting, for good.
    pub fn stop(&self) {
        self.watched.stop.cancel();
    }
}

#[async_trait]
impl Watch for SqliteWatch {
    async fn changed(
        &self,
        id: RequestId,
        known: u64,
        patience: Duration,
    ) -> Result<Waited, StoreError> {
        let Ok(_place) = self.places.try_acquire() else {
            return Ok(Waited::Refused);
        };
        // Before the look at what is stored, so that nothing that is written after it is missed.
        let mut listener = self.watched.listen(id);
        let key = i64::try_from(id.0).unwrap_or(i64::MAX);
        let version: Option<u64> = self
            .database
            .read(move |db| {
                db.prepare_cached("SELECT version FROM requests WHERE id = ?1")?
                    .query_row([key], |row| row.get(0))
                    .optional()
            })
            .await
            .map_err(failed("look for a change"))?;
        if version.is_some_and(|version| version > known) {
            return Ok(Waited::Changed);
        }
        Ok(tokio::select! {
            () = listener.newer_than(known) => Waited::Changed,
            () = tokio::time::sleep(patience) => Waited::Unchanged,
            () = self.watched.stop.cancelled() => Waited::Refused,
        })
    }
}

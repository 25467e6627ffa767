//! Whose message is next.
//!
//! Somebody who sends a thousand requests must not keep others waiting for all of them. So those who
//! have the fewest messages in work come first, of these the one whose last turn is the longest ago,
//! and of one's own messages the oldest.

use std::collections::BTreeMap;

use iib_request::Stage;
use rusqlite::{Transaction, params};

/// A message that may be handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) number: u64,
    pub(super) receive_count: u32,
    visible_at: i64,
}

/// Those whose messages wait, each with what counts for its turn.
#[derive(Debug, Default, PartialEq, Eq)]
struct Waiting {
    in_work: u64,
    served: u64,
    /// The oldest last.
    messages: Vec<Candidate>,
}

/// Chooses up to `max` of the messages that are visible, and notes whose turn it was.
pub(super) fn choose(
    transaction: &Transaction<'_>,
    stage: Stage,
    max: u32,
    now: i64,
) -> rusqlite::Result<Vec<Candidate>> {
    let mut waiting = BTreeMap::new();
    for turn in turns(transaction, stage)? {
        let messages = visible(transaction, stage, &turn, max, now)?;
        if !messages.is_empty() {
            let (in_work, served) = standing(transaction, stage, &turn, now)?;
            waiting.insert(
                turn,
                Waiting {
                    in_work,
                    served,
                    messages,
                },
            );
        }
    }
    let mut last: u64 = transaction
        .prepare_cached("SELECT value FROM counters WHERE name = 'turn'")?
        .query_row([], |row| row.get(0))?;
    let mut chosen = Vec::new();
    while chosen.len() < max as usize
        && let Some((turn, message)) = next(&mut waiting, &mut last)
    {
        transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO turns (stage, turn, served) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![stage.as_str(), turn, last])?;
        chosen.push(message);
    }
    transaction
        .prepare_cached("UPDATE counters SET value = ?1 WHERE name = 'turn'")?
        .execute([last])?;
    Ok(chosen)
}

/// Takes the next message, and counts its turn.
fn next(waiting: &mut BTreeMap<String, Waiting>, last: &mut u64) -> Option<(String, Candidate)> {
    let with_messages = waiting.iter_mut().filter(|(_, of)| !of.messages.is_empty());
    let (turn, of) = with_messages.min_by_key(|(_, of)| {
        let oldest = of
            .messages
            .last()
            .map(|message| (message.visible_at, message.number));
        (of.in_work, of.served, oldest)
    })?;
    *last += 1;
    of.in_work += 1;
    of.served = *last;
    Some((turn.clone(), of.messages.pop()?))
}

/// Those who have messages. Each is one look into the index, however many messages there are.
fn turns(transaction: &Transaction<'_>, stage: Stage) -> rusqlite::Result<Vec<String>> {
    transaction
        .prepare_cached(
            "WITH RECURSIVE of (turn) AS (
                 SELECT min(turn) FROM messages WHERE stage = ?1
                 UNION ALL
                 SELECT (SELECT min(turn) FROM messages WHERE stage = ?1 AND turn > of.turn)
                 FROM of WHERE of.turn IS NOT NULL
             )
             SELECT turn FROM of WHERE turn IS NOT NULL",
        )?
        .query_map([stage.as_str()], |row| row.get(0))?
        .collect()
}

/// The oldest visible messages of one of them, the oldest last.
fn visible(
    transaction: &Transaction<'_>,
    stage: Stage,
    turn: &str,
    max: u32,
    now: i64,
) -> rusqlite::Result<Vec<Candidate>> {
    let mut messages = transaction
        .prepare_cached(
            "SELECT number, receive_count, visible_at FROM messages
             WHERE stage = ?1 AND turn = ?2 AND visible_at <= ?3
             ORDER BY visible_at, number LIMIT ?4",
        )?
        .query_map(params![stage.as_str(), turn, now, max], |row| {
            Ok(Candidate {
                number: row.get(0)?,
                receive_count: row.get(1)?,
                visible_at: row.get(2)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    messages.reverse();
    Ok(messages)
}

/// How many messages somebody has in work, and when the last turn was.
fn standing(
    transaction: &Transaction<'_>,
    stage: Stage,
    turn: &str,
    now: i64,
) -> rusqlite::Result<(u64, u64)> {
    transaction
        .prepare_cached(
            "SELECT
                 (SELECT count(*) FROM messages
                  WHERE stage = ?1 AND turn = ?2 AND visible_at > ?3 AND receipt IS NOT NULL),
                 coalesce((SELECT served FROM turns WHERE stage = ?1 AND turn = ?2), 0)",
        )?
        .query_row(params![stage.as_str(), turn, now], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
}

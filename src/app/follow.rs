//! Follows the configuration on disk.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    select,
    sync::Notify,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tracing::{error, info};

use super::reload::Reload;
use crate::config::{self, Environment, Marks, Reading};

/// How often it is looked whether a file has changed.
const LOOK: Duration = Duration::from_secs(1);

/// Where a configuration is read anew from.
pub struct Origin {
    /// The file.
    pub file: PathBuf,
    /// What is laid over it.
    pub environment: Environment,
    /// Whoever notifies this wants it to be read now. However often that is said while it is read, it is read once more.
    pub asked: Arc<Notify>,
}

/// Sees changes of the files, and has them taken.
pub(super) struct Follower {
    origin: Origin,
    reload: Arc<Reload>,
    /// What stood in the files that were last taken or refused; nothing before the first look.
    seen: Option<Marks>,
    /// What stood there at the last look, when it was something else.
    next: Option<Marks>,
    /// Whether somebody asked, and the files changed while they were read.
    is_asked: bool,
}

impl Follower {
    pub(super) const fn new(origin: Origin, reload: Arc<Reload>) -> Self {
        Self {
            origin,
            reload,
            seen: None,
            next: None,
            is_asked: false,
        }
    }

    /// Looks, again and again. For a background task.
    pub(super) async fn run(mut self) {
        let asked = Arc::clone(&self.origin.asked);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_asked = select! {
                () = asked.notified() => true,
                _ = look.tick() => false,
            };
            let looked = spawn_blocking(move || {
                self.is_asked |= is_asked;
                self.look();
                self
            });
            self = match looked.await {
                Ok(follower) => follower,
                Err(error) => {
                    error!(error = %error, "changes of the configuration are not seen any more");
                    return;
                }
            };
        }
    }

    /// Takes what has changed and stands still, or what somebody asks for. Reads files, so not for an event loop.
    fn look(&mut self) {
        if !self.is_asked && !self.stands_still() {
            return;
        }
        let Origin {
            file, environment, ..
        } = &self.origin;
        let Some(Reading { outcome, marks }) = config::reread(file, environment) else {
            // Somebody is still writing.
            return;
        };
        self.next = None;
        let is_first = self.seen.replace(marks).is_none();
        let was_asked = std::mem::take(&mut self.is_asked);
        match outcome {
            Ok(loaded) => {
                for note in loaded.notes.iter().filter(|_| !is_first) {
                    info!(note = %note, "read the configuration");
                }
                // What is refused has been said.
                let taken = self.reload.take(&loaded.settings);
                if was_asked && matches!(taken, Ok(super::Reloaded::Unchanged)) {
                    info!("the configuration has not changed");
                }
            }
            Err(problems) => {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                self.reload.refuse(&problems);
            }
        }
    }

    /// Whether there is something new that was there at the last look already. Half of a file can be a list of half of
    /// the rules: what somebody may still be writing is not taken.
    fn stands_still(&mut self) -> bool {
        let Some(seen) = &self.seen else {
            // It may have changed since it was read at the start.
            return true;
        };
        let found = seen.again();
        if found == *seen {
            self.next = None;
            return false;
        }
        let is_still = self.next.as_ref() == Some(&found);
        self.next = Some(found);
        is_still
    }
}

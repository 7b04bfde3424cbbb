//! A disk that loses its power, or fails, for tests: what was not flushed is kept or lost as chance has it, in pieces of one
//! sector.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use redb::StorageBackend;

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

/// Numbers that look random and are the same in every run (xorshift).
pub(super) struct Dice(pub u64);

impl Dice {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

/// What was asked for and has not been flushed.
#[derive(Debug)]
enum Pending {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// What becomes of the next operations.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Fault {
    #[default]
    None,
    /// So many work, and nothing after them.
    PowerAfter(usize),
    /// So many work, so many fail, and then it works again.
    Errors { after: usize, many: usize },
}

#[derive(Debug, Default)]
struct State {
    flushed: Vec<u8>,
    seen: Vec<u8>,
    pending: Vec<Pending>,
    fault: Fault,
    operations: usize,
}

/// A disk with one file. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

impl Disk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// How much was asked of it so far.
    pub(super) fn operations(&self) -> usize {
        self.lock().operations
    }

    /// The power goes after so many further operations.
    pub(super) fn goes_dark_after(&self, operations: usize) {
        self.lock().fault = Fault::PowerAfter(operations);
    }

    /// After so many further operations so many fail.
    pub(super) fn fails_after(&self, after: usize, many: usize) {
        self.lock().fault = Fault::Errors { after, many };
    }

    /// It does what it is asked for again.
    pub(super) fn heals(&self) {
        self.lock().fault = Fault::None;
    }

    /// What is on it when the power comes back: all that was flushed, and some of what was not.
    pub(super) fn after_power_cut(&self, dice: &mut Dice) -> Self {
        let state = self.lock();
        let mut bytes = state.flushed.clone();
        for pending in &state.pending {
            match pending {
                Pending::Length(length) if dice.below(2) == 0 => bytes.resize(*length, 0),
                Pending::Length(_) => {}
                Pending::Write(at, data) => {
                    for (number, sector) in data.chunks(SECTOR).enumerate() {
                        let at = at + number * SECTOR;
                        if dice.below(2) == 0 && at + sector.len() <= bytes.len() {
                            bytes[at..at + sector.len()].copy_from_slice(sector);
                        }
                    }
                }
            }
        }
        Self(Arc::new(Mutex::new(State {
            seen: bytes.clone(),
            flushed: bytes,
            ..State::default()
        })))
    }

    /// One operation, if the disk is in the mood.
    fn operate(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        state.operations += 1;
        let fails = match &mut state.fault {
            Fault::None => false,
            Fault::PowerAfter(left) | Fault::Errors { after: left, .. } if *left > 0 => {
                *left -= 1;
                false
            }
            Fault::PowerAfter(_) => true,
            Fault::Errors { many, .. } => {
                let fails = *many > 0;
                *many = many.saturating_sub(1);
                fails
            }
        };
        if fails {
            return Err(io::Error::other("the disk has failed"));
        }
        Ok(state)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.operate()?.seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.operate()?;
        let at = usize::try_from(offset).unwrap();
        let from = state
            .seen
            .get(at..at + out.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(from);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.operate()?;
        let length = usize::try_from(len).unwrap();
        state.seen.resize(length, 0);
        state.pending.push(Pending::Length(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.operate()?;
        for pending in std::mem::take(&mut state.pending) {
            match pending {
                Pending::Length(length) => state.flushed.resize(length, 0),
                Pending::Write(at, data) => {
                    state.flushed[at..at + data.len()].copy_from_slice(&data);
                }
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.operate()?;
        let at = usize::try_from(offset).unwrap();
        state.seen[at..at + data.len()].copy_from_slice(data);
        state.pending.push(Pending::Write(at, data.to_vec()));
        Ok(())
    }
}

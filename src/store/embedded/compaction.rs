//! Makes the file small again after much of it has become free.
//!
//! # Why
//! A file of this kind keeps what it once needed. What lives is copied into a file beside it while everything goes on;
//! then writers, and nobody else, wait for what has changed meanwhile, and the new file takes the old one's place in one
//! step. A crash at any point leaves one of the two, whole.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    TableDefinition, WriteTransaction,
};

use super::{ENDS, File, RECORDS, failed, guarded, open_file, sets, totals};
use crate::store::StoreError;

/// A file that is smaller is left alone.
const WORTH: u64 = 16 * 1024 * 1024;
/// The file may be so many times as long as what lives in it: half of each page, and half of the file, can be free
/// without any waste.
const SLACK: u64 = 5;
/// Changes that are carried in memory from one file to the other at most; with more, it is tried another time.
const CHANGES: usize = 100_000;

/// Whether there is so much room in a file of this length that it should be made small.
pub(super) const fn is_worth_it(length: u64, used: u64) -> bool {
    length > WORTH && length / SLACK > used
}

/// Where the small file grows.
pub(super) fn draft(path: &Path) -> PathBuf {
    path.with_extension("compact")
}

/// Forgets what a crash has left.
pub(super) fn remove_draft(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(draft(path)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// Puts a small file into the place of the large one.
pub(super) fn run(file: &File) -> Result<(), StoreError> {
    let done = guarded(|| replace(file));
    if done.is_err() {
        // It is of no use; what cannot be removed now is removed at the next start.
        let _ = remove_draft(&file.path);
    }
    done
}

fn replace(file: &File) -> Result<(), StoreError> {
    remove_draft(&file.path)?;
    let old = file.current()?;
    let draft = draft(&file.path);
    let new = open_file(&draft)?;
    copy(&old, &new)?;
    let turn = file.turn();
    if !file.is_current(&old) {
        return Err(failed("the file was opened anew meanwhile"));
    }
    copy(&old, &new)?;
    fs::rename(&draft, &file.path).map_err(failed)?;
    super::sync_folder(&file.path)?;
    file.put(new);
    drop(turn);
    Ok(())
}

/// Makes `to` hold what `from` holds.
fn copy(from: &Database, to: &Database) -> Result<(), StoreError> {
    let source = from.begin_read().map_err(failed)?;
    let mut target = to.begin_write().map_err(failed)?;
    target.set_quick_repair(true);
    let mut budget = CHANGES;
    match_table(RECORDS, &source, &target, &mut budget)?;
    match_table(ENDS, &source, &target, &mut budget)?;
    match_table(sets::MEMBERS, &source, &target, &mut budget)?;
    match_table(sets::MEMBER_ENDS, &source, &target, &mut budget)?;
    match_table(totals::TOTALS, &source, &target, &mut budget)?;
    target.commit().map_err(failed)
}

/// One entry, as bytes.
type Raw = (Vec<u8>, Vec<u8>);

/// Makes one table hold what the other holds.
fn match_table<K: redb::Key + 'static, V: redb::Value + 'static>(
    definition: TableDefinition<'_, K, V>,
    source: &ReadTransaction,
    target: &WriteTransaction,
    budget: &mut usize,
) -> Result<(), StoreError> {
    let source = source.open_table(definition).map_err(failed)?;
    let mut target = target.open_table(definition).map_err(failed)?;
    if target.is_empty().map_err(failed)? {
        for entry in source.iter().map_err(failed)? {
            let (key, value) = entry.map_err(failed)?;
            target.insert(key.value(), value.value()).map_err(failed)?;
        }
        return Ok(());
    }
    let (put, gone) = differences::<K, V>(&source, &target, budget)?;
    for key in gone {
        target.remove(K::from_bytes(&key)).map_err(failed)?;
    }
    for (key, value) in put {
        target
            .insert(K::from_bytes(&key), V::from_bytes(&value))
            .map_err(failed)?;
    }
    Ok(())
}

/// What has to be put, and what has to go, so that `target` holds what `source` holds.
fn differences<K: redb::Key + 'static, V: redb::Value + 'static>(
    source: &impl ReadableTable<K, V>,
    target: &impl ReadableTable<K, V>,
    budget: &mut usize,
) -> Result<(Vec<Raw>, Vec<Vec<u8>>), StoreError> {
    let (mut put, mut gone) = (Vec::new(), Vec::new());
    let mut wanted = raw::<K, V>(source)?.peekable();
    let mut there = raw::<K, V>(target)?.peekable();
    loop {
        let order = match (wanted.peek(), there.peek()) {
            (None, None) => return Ok((put, gone)),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(Ok((one, _))), Some(Ok((other, _)))) => K::compare(one, other),
            // Whichever it is, it comes up below.
            (Some(_), Some(_)) => std::cmp::Ordering::Equal,
        };
        let one = wanted.next_if(|_| order.is_le()).transpose()?;
        let other = there.next_if(|_| order.is_ge()).transpose()?;
        match (one, other) {
            (Some(one), Some(other)) if one.1 == other.1 => continue,
            (Some(one), _) => put.push(one),
            (None, Some(other)) => gone.push(other.0),
            (None, None) => {}
        }
        *budget = budget
            .checked_sub(1)
            .ok_or_else(|| failed("too much has changed meanwhile"))?;
    }
}

fn raw<K: redb::Key + 'static, V: redb::Value + 'static>(
    table: &impl ReadableTable<K, V>,
) -> Result<impl Iterator<Item = Result<Raw, StoreError>>, StoreError> {
    Ok(table.iter().map_err(failed)?.map(|entry| {
        let (key, value) = entry.map_err(failed)?;
        let key = K::as_bytes(&key.value()).as_ref().to_vec();
        let value = V::as_bytes(&value.value()).as_ref().to_vec();
        Ok((key, value))
    }))
}

//! Sets in the file: their members in order, and once more by their end.

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::{SWEEP, failed};
use crate::{
    clock::Timestamp,
    store::{Key, Member, StoreError},
};

/// (set, end, key).
pub(super) const MEMBERS: TableDefinition<'_, (&[u8], i64, &[u8]), ()> =
    TableDefinition::new("members");
/// (end, set, key): what ends first stands first.
pub(super) const MEMBER_ENDS: TableDefinition<'_, (i64, &[u8], &[u8]), ()> =
    TableDefinition::new("member_ends");

/// Makes the tables, so that a reader always finds them.
pub(super) fn make(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(MEMBERS).map_err(failed)?;
    transaction.open_table(MEMBER_ENDS).map_err(failed)?;
    Ok(())
}

pub(super) fn add(
    transaction: &WriteTransaction,
    sets: &[Key],
    member: Member,
) -> Result<(), StoreError> {
    let mut members = transaction.open_table(MEMBERS).map_err(failed)?;
    let mut ends = transaction.open_table(MEMBER_ENDS).map_err(failed)?;
    let (end, key) = (member.until.seconds(), member.key.as_bytes().as_slice());
    for set in sets {
        let set = set.as_bytes().as_slice();
        members.insert((set, end, key), ()).map_err(failed)?;
        ends.insert((end, set, key), ()).map_err(failed)?;
    }
    Ok(())
}

pub(super) fn discard(
    transaction: &WriteTransaction,
    sets: &[Key],
    member: Member,
) -> Result<(), StoreError> {
    let mut members = transaction.open_table(MEMBERS).map_err(failed)?;
    let mut ends = transaction.open_table(MEMBER_ENDS).map_err(failed)?;
    let (end, key) = (member.until.seconds(), member.key.as_bytes().as_slice());
    for set in sets {
        let set = set.as_bytes().as_slice();
        members.remove((set, end, key)).map_err(failed)?;
        ends.remove((end, set, key)).map_err(failed)?;
    }
    Ok(())
}

/// The members of one set, the one that ends last first.
pub(super) fn read(
    members: &impl ReadableTable<(&'static [u8], i64, &'static [u8]), ()>,
    set: Key,
    below: Option<Member>,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<Member>, StoreError> {
    let (first, end) = (Member::first_at(now), Member::end_below(below));
    if first >= end {
        return Ok(Vec::new());
    }
    let at = |member: &Member| (member.until.seconds(), *member.key.as_bytes());
    let ((from, from_key), (to, to_key)) = (at(&first), at(&end));
    let set = set.as_bytes().as_slice();
    let mut found = Vec::new();
    for entry in members
        .range((set, from, from_key.as_slice())..(set, to, to_key.as_slice()))
        .map_err(failed)?
        .rev()
        .take(limit)
    {
        let (entry, _) = entry.map_err(failed)?;
        let (_, end, key) = entry.value();
        found.push(Member {
            until: Timestamp::from_seconds(end),
            key: Key::from_bytes(key).ok_or_else(|| failed("the file is damaged"))?,
        });
    }
    Ok(found)
}

/// Removes up to [`SWEEP`] members that are over; how many those were.
pub(super) fn sweep_some(
    transaction: &WriteTransaction,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let mut ends = transaction.open_table(MEMBER_ENDS).map_err(failed)?;
    let mut members = transaction.open_table(MEMBERS).map_err(failed)?;
    let over = ends
        .range(
            ..=(
                now.seconds(),
                &[u8::MAX; Key::LENGTH][..],
                &[u8::MAX; Key::LENGTH][..],
            ),
        )
        .map_err(failed)?
        .take(SWEEP)
        .map(|entry| {
            let (entry, _) = entry.map_err(failed)?;
            let (end, set, key) = entry.value();
            Ok((end, set.to_vec(), key.to_vec()))
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    for (end, set, key) in &over {
        let (set, key) = (set.as_slice(), key.as_slice());
        ends.remove((*end, set, key)).map_err(failed)?;
        members.remove((set, *end, key)).map_err(failed)?;
    }
    Ok(over.len())
}

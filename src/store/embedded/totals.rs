//! How many bytes the records have, kept with them: nobody has to count.

use redb::{
    ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction,
};

use super::{RECORDS, failed, sets};
use crate::store::{Key, StoreError};

/// Name to number.
pub(super) const TOTALS: TableDefinition<'_, &str, u64> = TableDefinition::new("totals");
/// Bytes of all values.
const VALUES: &str = "values";

/// What a record takes beside its value: its key in two tables, its end, and the tables' own.
const RECORD: u64 = 2 * (Key::LENGTH as u64 + 8) + 20;
/// What a member of a set takes.
const MEMBER: u64 = 2 * (2 * Key::LENGTH as u64 + 8) + 20;

/// Makes the table. In a file that never had it, it is counted once what is there.
pub(super) fn make(transaction: &WriteTransaction) -> Result<(), StoreError> {
    let mut totals = transaction.open_table(TOTALS).map_err(failed)?;
    if totals.get(VALUES).map_err(failed)?.is_some() {
        return Ok(());
    }
    let records = transaction.open_table(RECORDS).map_err(failed)?;
    let mut values = 0;
    for entry in records.iter().map_err(failed)? {
        let (_, record) = entry.map_err(failed)?;
        values += record.value().1.len() as u64;
    }
    totals.insert(VALUES, values).map_err(failed)?;
    Ok(())
}

/// A value has come, or (when negative) gone.
pub(super) fn add(transaction: &WriteTransaction, bytes: i64) -> Result<(), StoreError> {
    if bytes == 0 {
        return Ok(());
    }
    let mut totals = transaction.open_table(TOTALS).map_err(failed)?;
    let values = totals
        .get(VALUES)
        .map_err(failed)?
        .map_or(0, |it| it.value());
    totals
        .insert(VALUES, values.saturating_add_signed(bytes))
        .map_err(failed)?;
    Ok(())
}

/// The length of a value, to be added or taken away.
pub(super) fn length(value: &[u8]) -> i64 {
    i64::try_from(value.len()).unwrap_or(i64::MAX)
}

/// Bytes of all values.
pub(super) fn values(transaction: &ReadTransaction) -> Result<u64, StoreError> {
    let totals = transaction.open_table(TOTALS).map_err(failed)?;
    Ok(totals
        .get(VALUES)
        .map_err(failed)?
        .map_or(0, |it| it.value()))
}

/// Bytes that what is there takes, about.
pub(super) fn used(transaction: &ReadTransaction) -> Result<u64, StoreError> {
    let values = values(transaction)?;
    let records = transaction.open_table(RECORDS).map_err(failed)?;
    let members = transaction.open_table(sets::MEMBERS).map_err(failed)?;
    let (records, members) = (
        records.len().map_err(failed)?,
        members.len().map_err(failed)?,
    );
    Ok(values
        .saturating_add(records.saturating_mul(RECORD))
        .saturating_add(members.saturating_mul(MEMBER)))
}

//! TOML, with the places that its own parser keeps.

use config::{Value, ValueKind};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Fault, Lines};
use crate::config::{
    origin::{Origin, Position},
    report::Report,
};

pub(super) fn parse(text: &str, report: &Report) -> Result<Value, Fault> {
    let lines = Lines::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut faults = errors.iter().map(|error| {
        Fault::new(
            lines.position(error.span().map_or(0, |span| span.start)),
            format!("is not TOML here: {}", error.message()),
            "check quotes, brackets and keys given twice",
        )
    });
    if let Some(first) = faults.next() {
        for fault in faults {
            report.add_line(fault.position, "", fault.message, fault.mend);
        }
        return Err(first);
    }
    let start = Origin::File {
        key: Position::START,
        value: Position::START,
    };
    Ok(start.mark(set(table.get_ref(), &lines)?))
}

fn set(table: &DeTable<'_>, lines: &Lines<'_>) -> Result<ValueKind, Fault> {
    let entries = table.iter().map(|(key, item)| {
        let place = lines.position(key.span().start);
        Ok((key.get_ref().to_string(), value(item, Some(place), lines)?))
    });
    Ok(ValueKind::Table(entries.collect::<Result<_, Fault>>()?))
}

fn value(
    item: &Spanned<DeValue<'_>>,
    key: Option<Position>,
    lines: &Lines<'_>,
) -> Result<Value, Fault> {
    let here = lines.position(item.span().start);
    let kind = match item.get_ref() {
        DeValue::String(text) => ValueKind::String(text.to_string()),
        // A number too large to be held exactly stays the text that it is: it is an id.
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(
                |_| ValueKind::String(number.as_str().to_owned()),
                ValueKind::I64,
            ),
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .map_or(ValueKind::Nil, ValueKind::Float),
        DeValue::Boolean(truth) => ValueKind::Boolean(*truth),
        DeValue::Datetime(_) => {
            return Err(Fault::new(
                here,
                "is a date, and no key takes one",
                "put it in quotes",
            ));
        }
        DeValue::Array(items) => ValueKind::Array(
            items
                .iter()
                .map(|item| value(item, None, lines))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => set(table, lines)?,
    };
    let origin = Origin::File {
        key: key.unwrap_or(here),
        value: here,
    };
    Ok(origin.mark(kind))
}

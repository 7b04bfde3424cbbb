//! The environment on top of the file.
//!
//! # Why
//! Crate `config` reads keys at the top as expressions (`a.b`, `a[0]`) and forgets where sections were written when it
//! merges them. Each layer therefore hands it one list that holds the whole tree: lists it leaves as they are.

use std::fmt;

use config::{Config, ConfigError, Map, Source, Value, ValueKind};

/// The one key that the crate gets to see.
const TREE: &str = "tree";

/// Lays `above` over `below`, key by key.
pub(super) fn merge(below: Value, above: Value) -> Result<Value, ConfigError> {
    let merged = Config::builder()
        .add_source(Layer(below))
        .add_source(Layer(above))
        .build()?;
    merged
        .cache
        .into_table()?
        .remove(TREE)
        .map(Value::into_array)
        .transpose()?
        .and_then(|mut trees| trees.pop())
        .ok_or_else(|| ConfigError::NotFound(TREE.to_owned()))
}

/// One source of values.
#[derive(Clone)]
struct Layer(Value);

impl fmt::Debug for Layer {
    /// Nothing of the values: some are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Layer(…)")
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let tree = ValueKind::Array(vec![self.0.clone()]);
        Ok(Map::from([(TREE.to_owned(), Value::new(None, tree))]))
    }

    fn collect_to(&self, cache: &mut Value) -> Result<(), ConfigError> {
        if let ValueKind::Table(table) = &mut cache.kind
            && let Some(ValueKind::Array(trees)) = table.get_mut(TREE).map(|tree| &mut tree.kind)
            && let Some(below) = trees.first_mut()
        {
            overlay(below, &self.0);
            return Ok(());
        }
        *cache = Value::new(None, self.collect()?);
        Ok(())
    }
}

fn overlay(below: &mut Value, above: &Value) {
    match (&mut below.kind, &above.kind) {
        (ValueKind::Table(below), ValueKind::Table(above)) => {
            for (key, value) in above {
                match below.get_mut(key) {
                    Some(below) => overlay(below, value),
                    None => {
                        below.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        // A plain value where a section belongs is a mistake in the file: it stays, to be reported.
        (_, ValueKind::Table(_)) => {}
        _ => *below = above.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::origin::{Origin, Position};

    fn tree(line: usize, key: &str, kind: impl Into<ValueKind>) -> Value {
        let place = Position { line, column: 1 };
        let origin = Origin::File {
            key: place,
            value: place,
        };
        origin.mark(Map::from([(key.to_owned(), origin.mark(kind))]))
    }

    #[test]
    fn keys_are_names_and_not_expressions() {
        for key in ["a.b", "a[0]", "a"] {
            let merged = merge(tree(1, key, "file"), tree(1, "other", "above")).unwrap();

            let merged = merged.into_table().unwrap();
            assert_eq!(merged.len(), 2);
            assert!(merged.contains_key(key), "{key}");
        }
    }

    #[test]
    fn the_upper_layer_wins_and_sections_keep_their_place() {
        let below = tree(3, "session", tree(3, "idle", "1h").kind);
        let above = tree(9, "session", tree(9, "idle", "2h").kind);

        let merged = merge(below.clone(), above).unwrap().into_table().unwrap();

        let session = merged.get("session").unwrap();
        assert_eq!(Origin::of(session), Origin::of(&below));
        let idle = session.clone().into_table().unwrap().remove("idle");
        assert_eq!(idle.unwrap().into_string().unwrap(), "2h");
    }
}

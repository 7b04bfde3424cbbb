//! Sets in Redis: one sorted set each, in which all members have the same score and stand in the order of their bytes.

use std::time::Duration;

use redis::{Cmd, cmd};

use super::record;
use crate::{
    clock::Timestamp,
    store::{Key, Member},
};

/// How much longer than it counts Redis keeps a member: clocks of several machines differ.
const SLACK: Duration = Duration::from_mins(1);
/// The end, eight bytes, then the key.
const LENGTH: usize = 8 + Key::LENGTH;

/// Adds a member, and takes those out that ended long ago. The set is kept as long as its last member.
const ADD: &str = "\
redis.call('ZREMRANGEBYLEX', KEYS[1], '-', ARGV[2])
redis.call('ZADD', KEYS[1], 0, ARGV[1])
if redis.call('TTL', KEYS[1]) < tonumber(ARGV[3]) then
  redis.call('EXPIRE', KEYS[1], ARGV[3])
end
return 1";

/// Adds a member to the set of this name.
pub(super) fn add(name: String, member: Member, now: Timestamp) -> Cmd {
    let over = bound(b'(', Member::first_at(now - SLACK));
    let mut command = cmd("EVAL");
    command
        .arg(ADD)
        .arg(1)
        .arg(name)
        .arg(bytes(member))
        .arg(over)
        .arg(record::keep_for(member.until, now));
    command
}

/// Asks for members, the one that ends last first.
pub(super) fn members(name: String, below: Option<Member>, limit: usize, now: Timestamp) -> Cmd {
    let mut command = cmd("ZREVRANGEBYLEX");
    command
        .arg(name)
        .arg(bound(b'(', Member::end_below(below)))
        .arg(bound(b'[', Member::first_at(now)))
        .arg("LIMIT")
        .arg(0)
        .arg(limit);
    command
}

/// Takes a member out.
pub(super) fn discard(name: String, member: Member) -> Cmd {
    let mut command = cmd("ZREM");
    command.arg(name).arg(bytes(member));
    command
}

/// The member of these bytes, if it is one of ours.
pub(super) fn member(bytes: &[u8]) -> Option<Member> {
    let (end, key) = bytes.split_first_chunk::<8>()?;
    let end = i64::try_from(u64::from_be_bytes(*end)).ok()?;
    Some(Member {
        until: Timestamp::from_seconds(end),
        key: Key::from_bytes(key)?,
    })
}

/// Times before the epoch are over in any case.
fn bytes(member: Member) -> Vec<u8> {
    let end = u64::try_from(member.until.seconds()).unwrap_or(0);
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.extend_from_slice(&end.to_be_bytes());
    bytes.extend_from_slice(member.key.as_bytes());
    bytes
}

/// `[` takes the member in, `(` leaves it out.
fn bound(kind: u8, member: Member) -> Vec<u8> {
    let mut bound = bytes(member);
    bound.insert(0, kind);
    bound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_member_lead_back_to_it_and_stand_in_its_order() {
        let member = |seconds, byte| Member {
            until: Timestamp::from_seconds(seconds),
            key: Key::new(b'l', [byte; 32]),
        };
        let ordered = [member(1, 9), member(255, 0), member(256, 0), member(256, 1)];

        let all = ordered.map(bytes);

        assert!(all.is_sorted());
        assert_eq!(all.map(|bytes| super::member(&bytes)), ordered.map(Some));
        for other in [&b""[..], &[0; LENGTH - 1], &[0; LENGTH + 1], &[255; LENGTH]] {
            assert_eq!(super::member(other), None);
        }
    }
}

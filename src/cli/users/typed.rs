//! What somebody types: passwords that nobody sees, and a yes.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use anyhow::{Context, Result, bail};
use zeroize::Zeroizing;

use crate::local::Password;

/// Nobody types more.
const MAX_BYTES: u64 = 4_096;

/// Where a password comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// From the standard input, as whoever says so expects; a terminal is asked once.
    Stdin,
    /// From the terminal, if somebody sits there, twice; or from the standard input.
    Anywhere,
}

/// A new password for the person who is called `known`.
pub(super) fn new_password(source: Source, known: &[&str]) -> Result<Password> {
    let text = match source {
        _ if !io::stdin().is_terminal() => line(&mut io::stdin().lock())?,
        // A terminal would show what is read from it as from a file.
        Source::Stdin => ask("Password: ")?,
        Source::Anywhere => ask_twice()?,
    };
    Ok(Password::choose(text.as_bytes(), known)?)
}

/// Whether somebody at the terminal says yes.
pub(in crate::cli) fn agrees(question: &str) -> Result<bool> {
    if !io::stdin().is_terminal() {
        bail!("there is no terminal to ask at; say --yes");
    }
    let mut err = io::stderr().lock();
    write!(err, "{question}")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().lock().take(MAX_BYTES).read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Asks without showing the answer.
fn ask(prompt: &str) -> Result<Zeroizing<String>> {
    rpassword::prompt_password(prompt)
        .map(Zeroizing::new)
        .context("cannot ask for the password")
}

fn ask_twice() -> Result<Zeroizing<String>> {
    let first = ask("Password: ")?;
    let second = ask("The same again: ")?;
    if *first != *second {
        bail!("the two passwords differ");
    }
    Ok(first)
}

/// One line, without its end.
fn line(input: &mut impl Read) -> Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    input
        .take(MAX_BYTES)
        .read_to_string(&mut text)
        .context("cannot read the password from the standard input")?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        bail!("there is no password on the standard input");
    }
    if line.contains(['\n', '\r']) {
        bail!("there is more than one line on the standard input");
    }
    Ok(Zeroizing::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_without_its_end() {
        for text in ["a b", "a b\n", "a b\r\n"] {
            assert_eq!(*line(&mut text.as_bytes()).unwrap(), "a b", "{text:?}");
        }
        for text in ["", "\n", "a\nb", "a\n\n", "\r\n"] {
            assert!(line(&mut text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(line(&mut &b"\xff"[..]).is_err());
    }
}

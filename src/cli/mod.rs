//! The commands, one file each.

mod check;
mod demo;
mod init;
mod keys;
mod serve;
mod sessions;
mod snippets;
mod users;

use std::{
    borrow::Cow,
    io::{self, ErrorKind, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::config::Problems;

/// The configuration where no command names another.
const CONFIGURATION: &str = "vestibule.yaml";

/// Decides for a reverse proxy who may pass, and tells the application who came in.
#[derive(Debug, Parser)]
#[command(name = "vestibule", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Demo(demo::Demo),
    Init(init::Init),
    Keys(keys::Keys),
    Serve(serve::Serve),
    Sessions(sessions::Sessions),
    Users(users::Users),
}

/// Does what the command line of this process asks for. The code is 0 when that worked, 1 when it did not, and 2 when
/// the command line was not understood.
pub fn run() -> ExitCode {
    match Arguments::parse().command {
        Command::Check(check) => check.run(),
        Command::Demo(demo) => demo.run(),
        Command::Init(init) => init.run(),
        Command::Keys(keys) => keys.run(),
        Command::Serve(serve) => serve.run(),
        Command::Sessions(sessions) => sessions.run(),
        Command::Users(users) => users.run(),
    }
}

/// Says on the standard error why nothing came of it.
fn fail(error: &anyhow::Error) -> ExitCode {
    // Whoever closed the pipe does not want to read it; the code still tells.
    let _ = tell(error, &mut io::stderr().lock());
    ExitCode::FAILURE
}

fn tell(error: &anyhow::Error, err: &mut impl Write) -> io::Result<()> {
    if let Some(problems) = error.downcast_ref::<Problems>() {
        return check::complain(problems, err);
    }
    let is_closed = |error: &io::Error| error.kind() == ErrorKind::BrokenPipe;
    // `vestibule users list | head -1`: nobody is there any more, and nothing is wrong.
    if error.downcast_ref::<io::Error>().is_some_and(is_closed) {
        return Ok(());
    }
    writeln!(err, "vestibule: {error:#}")
}

/// A word of a command that people copy into their shell.
fn shell_word(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./@+=:,".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error: &anyhow::Error) -> String {
        let mut err = Vec::new();
        tell(error, &mut err).unwrap();
        String::from_utf8(err).unwrap()
    }

    #[test]
    fn a_closed_pipe_is_no_error_to_talk_about() {
        let closed = io::Error::from(ErrorKind::BrokenPipe);
        assert_eq!(told(&closed.into()), "");
        let other = anyhow::anyhow!("inside").context("outside");
        assert_eq!(told(&other), "vestibule: outside: inside\n");
    }

    #[test]
    fn every_command_goes_by_the_same_file_when_none_is_named() {
        for line in ["check", "keys list", "serve", "sessions list", "users list"] {
            let words = std::iter::once("vestibule").chain(line.split(' '));
            let told = format!("{:?}", Arguments::try_parse_from(words).unwrap());
            assert!(told.contains("\"vestibule.yaml\""), "{told}");
        }
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_read_it_otherwise() {
        for (text, word) in [
            ("etc/vestibule.yaml", "etc/vestibule.yaml"),
            ("a@b.test", "a@b.test"),
            ("my site", "'my site'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
            ("ä", "'ä'"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }
}

//! The commands, one file each.

mod check;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    Serve(serve::Serve),
}

/// Does what the command line of this process asks for. The code is 0 when that worked, 1 when it did not, and 2 when
/// the command line was not understood.
pub fn run() -> ExitCode {
    match Arguments::parse().command {
        Command::Check(check) => check.run(),
        Command::Serve(serve) => serve.run(),
    }
}

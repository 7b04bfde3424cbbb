//! The process: arguments in, exit code out.

use std::process::ExitCode;

/// Cheaper than the system's where every request takes and gives back many small pieces.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    vestibule::cli::run()
}

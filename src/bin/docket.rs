//! Docket at the terminal.

fn main() -> std::process::ExitCode {
    docket::cli::run()
}

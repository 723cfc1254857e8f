//! The `docket` command.

fn main() -> std::process::ExitCode {
    docket_cli::run()
}

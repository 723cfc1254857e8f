//! The command line of Docket.

fn main() -> std::process::ExitCode {
    docket_cli::run()
}

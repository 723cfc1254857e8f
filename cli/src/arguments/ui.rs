//! The arguments of `docket ui`.

use clap::Args;

use super::stack::ApiArguments;

pub(super) const AFTER_UI: &str = "\
The page is served on 127.0.0.1 with your own credentials. The command prints its address, which
works once. docs/guide/page.md explains the page.

Exit codes: 0 ended by Ctrl-C; 1 an error, such as a port in use; 2 invalid arguments; 4 no usable
credentials.

Examples:
  docket ui --stack docket --region us-east-1
  docket ui --local --write";

#[derive(Debug, Args)]
pub(crate) struct UiArguments {
    /// Allow actions: upload, pause, resume, retry, cancel
    #[arg(long)]
    pub write: bool,
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8420)]
    pub port: u16,
    #[command(flatten)]
    pub stack: ApiArguments,
}

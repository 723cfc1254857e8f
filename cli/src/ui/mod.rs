//! `docket ui`: a page on the loopback interface, with the caller's credentials.
//!
//! `server` binds and routes, `guard` refuses other sites and other hosts, `pages` reads and
//! renders, `actions`, `uploads` and `export` are the named operations, `events` makes the
//! pages live, and `views` renders without any input or output.

mod actions;
mod app;
mod document;
mod events;
mod evidence;
mod export;
mod failure;
mod filter;
mod guard;
mod operations;
mod pages;
mod reader;
mod server;
mod statistics;
mod upload_state;
mod uploads;
mod views;

use crate::aws::connect::Target;
use crate::exit::Exit;
use crate::terminal::print_status;

/// Serves the page until Ctrl-C.
pub(crate) async fn run(target: &Target, port: u16, is_writable: bool) -> Exit {
    match server::serve(target, port, is_writable).await {
        Ok(()) => Exit::Done,
        Err(error) => {
            print_status(&error.to_string());
            error.exit()
        }
    }
}

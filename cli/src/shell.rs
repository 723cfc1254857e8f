//! `docket completions` and `docket man`.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::arguments::Arguments;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::terminal::{print_status, print_text};

/// Prints the completions for a shell.
pub(crate) fn completions(shell: Shell) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "docket", &mut text);
    print_text(&String::from_utf8_lossy(&text));
    Exit::Done
}

/// Prints the manual page, or writes all pages into a folder.
pub(crate) fn man(folder: Option<&Path>) -> Exit {
    let written = match folder {
        None => {
            let mut page = Vec::new();
            let rendered = Man::new(Arguments::command()).render(&mut page);
            rendered.map(|()| print_text(&String::from_utf8_lossy(&page)))
        }
        Some(folder) => {
            std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Arguments::command(), folder))
        }
    };
    match written {
        Ok(()) => Exit::Done,
        Err(error) => {
            let error = CommandError::of_file(folder.unwrap_or(Path::new("docket.1")), &error);
            print_status(&error.to_string());
            error.exit()
        }
    }
}

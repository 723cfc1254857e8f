//! The readers of formats that no model takes: each returns their text, and what they hold.

pub(super) mod archive;
pub(super) mod epub;
pub(super) mod mail;
pub(super) mod markup;
pub(super) mod office;
pub(super) mod open_document;
pub(super) mod outlook;
pub(super) mod pdf;
pub(super) mod rtf;
pub(super) mod sheets;
pub(super) mod tiff;

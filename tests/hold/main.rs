//! A fault of the account costs no document: the consumer's real binary in several
//! environments, while the model or the bucket refuses every request. Time is compressed.
//!
//! `HOLD_DOCUMENTS=10000` sets the number of documents (`make faults`).

mod account;
mod account_fault;
mod outage;
mod pause;
mod prober;
mod services;
mod store;

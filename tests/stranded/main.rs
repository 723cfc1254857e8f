//! No job is stranded: the real binaries find jobs whose message is lost, and callers retry
//! many jobs without a second message. Times on the stored jobs are moved into the past.

mod letters;
mod retry;
mod scene;
mod sweep;

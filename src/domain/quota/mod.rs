//! Keeping calls to a model's quota: the rate limit, and the pool of reserved
//! quota that each function holds.

pub mod gcra;
pub mod reservation_pool;

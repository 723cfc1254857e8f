//! Admission keeps calls within a model's quota: the rate limit, and the pool of
//! reserved quota that each execution environment holds.

pub mod gcra;
pub mod reservation_pool;

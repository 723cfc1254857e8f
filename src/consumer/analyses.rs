//! The compiled analyses of an execution environment. The jobs of a batch often have the
//! same analysis, and compiling one costs processor time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::analysis::{Analysis, AnalysisRequest, InvalidAnalysis, check_ceiling};
use crate::domain::document::sha256_hex;
use crate::domain::failure::{Failure, codes};
use crate::domain::job::ending::AttemptError;
use crate::domain::limits::ANALYSES_CACHED;
use crate::heavy_work;

/// Compiles analyses, and keeps the last [`ANALYSES_CACHED`]. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Analyses {
    cache: Arc<Mutex<Cache>>,
    /// The largest `max_tokens` of an analysis.
    pub max_tokens_ceiling: i32,
}

#[derive(Debug, Default)]
struct Cache {
    /// By the hash of the request. An invalid analysis is kept too.
    compiled: HashMap<String, Result<Arc<Analysis>, InvalidAnalysis>>,
    /// The hashes, the oldest first.
    hashes: VecDeque<String>,
}

impl Analyses {
    pub fn new(max_tokens_ceiling: i32) -> Self {
        Self { cache: Arc::default(), max_tokens_ceiling }
    }

    /// The compiled analysis of a request; the default analysis for none.
    ///
    /// # Errors
    /// A permanent error: the analysis is invalid, has more output tokens than the stack
    /// allows, or takes too long to compile.
    pub async fn get(&self, request: Option<&AnalysisRequest>) -> Result<Arc<Analysis>, AttemptError> {
        let Some(request) = request else { return Ok(Analysis::standard().clone()) };
        check_ceiling(request, self.max_tokens_ceiling).map_err(|invalid| AttemptError::Permanent(invalid.into()))?;
        let hash = sha256_hex(&serde_json::to_vec(request).unwrap_or_default());
        let known = self.cache().compiled.get(&hash).cloned();
        let compiled = match known {
            Some(compiled) => compiled,
            None => {
                let request = request.clone();
                let compiled = heavy_work::run(move || Analysis::new(&request).map(Arc::new)).await;
                let compiled = compiled.map_err(|abandoned| {
                    let message = format!("compiling the analysis {abandoned}; simplify `analysis.schema`");
                    AttemptError::Permanent(Failure::new(codes::ANALYSIS_INVALID, message))
                })?;
                self.cache().keep(hash, compiled.clone());
                compiled
            }
        };
        compiled.map_err(|invalid| AttemptError::Permanent(invalid.into()))
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    fn keep(&mut self, hash: String, compiled: Result<Arc<Analysis>, InvalidAnalysis>) {
        if self.compiled.insert(hash.clone(), compiled).is_none() {
            self.hashes.push_back(hash);
        }
        while self.hashes.len() > ANALYSES_CACHED {
            if let Some(oldest) = self.hashes.pop_front() {
                self.compiled.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_labels(number: usize) -> AnalysisRequest {
        AnalysisRequest { labels: Some(vec!["a".into(), number.to_string()]), ..Default::default() }
    }

    #[tokio::test]
    async fn equal_analyses_are_compiled_once() {
        let analyses = Analyses::new(64_000);
        let first = analyses.get(Some(&with_labels(1))).await.unwrap();
        assert!(Arc::ptr_eq(&first, &analyses.clone().get(Some(&with_labels(1))).await.unwrap()));
        assert!(!Arc::ptr_eq(&first, &analyses.get(Some(&with_labels(2))).await.unwrap()));
        assert!(Arc::ptr_eq(Analysis::standard(), &analyses.get(None).await.unwrap()));
    }

    #[tokio::test]
    async fn analysis_above_the_ceiling_is_refused() {
        let analyses = Analyses::new(500);
        let with_tokens = |max_tokens| AnalysisRequest { max_tokens: Some(max_tokens), ..Default::default() };
        assert!(analyses.get(Some(&with_tokens(500))).await.is_ok());
        let error = analyses.get(Some(&with_tokens(501))).await.expect_err("above the ceiling");
        let AttemptError::Permanent(failure) = error else { panic!("{error:?}") };
        assert_eq!(failure.code, codes::ANALYSIS_INVALID);
        assert!(failure.message.contains("max_tokens") && failure.message.contains("500"), "{}", failure.message);
    }

    #[tokio::test]
    async fn cache_is_bounded_and_keeps_invalid_analyses() {
        let analyses = Analyses::new(64_000);
        let invalid = AnalysisRequest { labels: Some(vec!["a".into()]), ..Default::default() };
        for _ in 0..2 {
            let error = analyses.get(Some(&invalid)).await.expect_err("invalid");
            assert!(matches!(error, AttemptError::Permanent(failure) if failure.code == codes::ANALYSIS_INVALID));
        }
        assert_eq!(analyses.cache().compiled.len(), 1);
        for number in 0..2 * ANALYSES_CACHED {
            analyses.get(Some(&with_labels(number))).await.unwrap();
        }
        let cache = analyses.cache();
        assert_eq!((cache.compiled.len(), cache.hashes.len()), (ANALYSES_CACHED, ANALYSES_CACHED));
    }
}

//! The filter of a batch's jobs, as the address of the page has it.

use serde::Deserialize;

use crate::query::query;

/// The statuses of the filter; the empty one is every finished job.
pub(super) const STATUSES: [(&str, &str); 7] = [
    ("", "finished"),
    ("all", "all, without results"),
    ("complete", "complete"),
    ("failed", "failed"),
    ("cancelled", "cancelled"),
    ("pending", "pending"),
    ("processing", "processing"),
];

/// Which jobs are shown. An empty text filters nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    /// One of [`STATUSES`].
    pub status: String,
    /// The label of complete jobs.
    pub label: String,
    /// The error code of failed jobs.
    pub error: String,
    /// Text in the name of the document, in the same case.
    pub name: String,
}

impl Filter {
    /// Whether the filter's status is known.
    pub fn is_valid(&self) -> bool {
        STATUSES.iter().any(|(status, _)| *status == self.status)
    }

    /// The query of the page's address, without `?`; empty for no filter.
    pub fn as_query(&self) -> String {
        query(&[("status", &self.status), ("label", &self.label), ("error", &self.error), ("name", &self.name)])
    }

    /// Whether the API's results have every job of this filter; otherwise its list has them.
    pub fn has_results(&self) -> bool {
        !["all", "pending", "processing"].contains(&self.status.as_str())
    }

    /// The API's query for the jobs of this filter; empty for no filter.
    pub fn as_api_query(&self) -> String {
        let status = if self.status == "all" { "" } else { &self.status };
        query(&[("status", status), ("label", &self.label), ("error_code", &self.error), ("name_contains", &self.name)])
    }

    /// The API's queries for the failed jobs of this filter.
    pub fn failed(&self) -> Vec<String> {
        if self.label.is_empty() { self.only(&["failed"], &["", "all", "failed"]) } else { Vec::new() }
    }

    /// The API's queries for the unfinished jobs of this filter.
    pub fn unfinished(&self) -> Vec<String> {
        // Only finished jobs have a label or an error code.
        if !self.label.is_empty() || !self.error.is_empty() {
            return Vec::new();
        }
        match self.status.as_str() {
            "" | "all" => self.only(&["pending", "processing"], &["", "all"]),
            status => self.only(&[status], &["pending", "processing"]),
        }
    }

    fn only(&self, statuses: &[&str], allowed: &[&str]) -> Vec<String> {
        if !allowed.contains(&self.status.as_str()) {
            return Vec::new();
        }
        let narrow = |status: &&str| Self { status: (*status).to_owned(), ..self.clone() }.as_api_query();
        statuses.iter().map(narrow).collect()
    }

    /// Whether the filter selects failed or cancelled jobs alone.
    pub fn is_of_failures(&self) -> bool {
        ["failed", "cancelled"].contains(&self.status.as_str()) || !self.error.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(status: &str, label: &str, error: &str, name: &str) -> Filter {
        let [status, label, error, name] = [status, label, error, name].map(str::to_owned);
        Filter { status, label, error, name }
    }

    #[test]
    fn queries_encode_every_value() {
        let one = filter("complete", "a&b=c", "", "ü/\"<");
        assert_eq!(one.as_query(), "status=complete&label=a%26b%3Dc&name=%C3%BC%2F%22%3C");
        assert_eq!(one.as_api_query(), "status=complete&label=a%26b%3Dc&name_contains=%C3%BC%2F%22%3C");
        assert_eq!(Filter::default().as_query(), "");
    }

    #[test]
    fn changes_hit_only_jobs_of_the_filter() {
        assert_eq!(filter("", "", "throttled", "").failed(), ["status=failed&error_code=throttled"]);
        assert_eq!(filter("pending", "", "", "").failed(), Vec::<String>::new());
        assert_eq!(filter("all", "", "", "a").unfinished().len(), 2);
        assert_eq!(filter("processing", "", "", "").unfinished(), ["status=processing"]);
        for filter in [filter("complete", "", "", ""), filter("", "lease", "", ""), filter("", "", "code", "")] {
            assert_eq!(filter.unfinished(), Vec::<String>::new(), "{filter:?}");
        }
        assert_eq!(filter("", "lease", "", "").failed(), Vec::<String>::new());
    }

    #[test]
    fn statuses_are_the_listed_ones() {
        assert!(filter("", "", "", "").is_valid() && filter("failed", "", "", "").is_valid());
        assert!(!filter("done", "", "", "").is_valid());
    }
}

//! The lists of chunk results: code concatenates them, so that no list of a joined result is
//! shorter than those of its chunks. A model joins what remains.

use serde_json::{Map, Value};

use crate::domain::limits::{JOINED_LEVELS_MAX, LIST_SAMPLE_ITEMS};

/// The lists that every chunk's result has at the same place, concatenated in the order of
/// the chunks, without exact duplicates.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinedLists {
    lists: Map<String, Value>,
    has_more: bool,
}

impl JoinedLists {
    /// The lists of results.
    pub fn from_results(results: &[Value]) -> Self {
        let objects: Option<Vec<&Map<String, Value>>> = results.iter().map(Value::as_object).collect();
        match objects {
            Some(objects) if !objects.is_empty() => {
                let (lists, has_more) = join(&objects, 0);
                Self { lists, has_more }
            }
            _ => Self { lists: Map::new(), has_more: true },
        }
    }

    /// The joined result, if the results have nothing but lists.
    pub fn complete(&self) -> Option<Value> {
        (!self.has_more && !self.lists.is_empty()).then(|| Value::Object(self.lists.clone()))
    }

    /// Puts the lists into a result that a model joined.
    pub fn put_into(&self, mut result: Value) -> Value {
        put(&mut result, &self.lists);
        result
    }

    /// A result for the model that joins: of each list that code joins, the first items show
    /// what the list is about.
    pub fn shorten(&self, mut result: Value) -> Value {
        shorten(&mut result, &self.lists);
        result
    }
}

fn join(objects: &[&Map<String, Value>], level: usize) -> (Map<String, Value>, bool) {
    let mut joined = Map::new();
    let mut has_more = false;
    let mut names: Vec<&String> = Vec::new();
    for name in objects.iter().flat_map(|object| object.keys()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for name in names {
        let values: Vec<&Value> =
            objects.iter().filter_map(|object| object.get(name)).filter(|value| !value.is_null()).collect();
        let lists: Option<Vec<&Vec<Value>>> = values.iter().map(|value| value.as_array()).collect();
        let inner: Option<Vec<&Map<String, Value>>> = values.iter().map(|value| value.as_object()).collect();
        match (lists, inner) {
            (Some(lists), _) if !lists.is_empty() => {
                joined.insert(name.clone(), Value::Array(concatenate(&lists)));
            }
            (_, Some(inner)) if !inner.is_empty() && level < JOINED_LEVELS_MAX => {
                let (lists, more) = join(&inner, level + 1);
                has_more |= more;
                if !lists.is_empty() {
                    joined.insert(name.clone(), Value::Object(lists));
                }
            }
            _ => has_more = true,
        }
    }
    (joined, has_more)
}

fn concatenate(lists: &[&Vec<Value>]) -> Vec<Value> {
    let mut seen = std::collections::HashSet::new();
    lists.iter().copied().flatten().filter(|item| seen.insert(item.to_string())).cloned().collect()
}

fn put(result: &mut Value, lists: &Map<String, Value>) {
    let Value::Object(fields) = result else { return };
    for (name, list) in lists {
        match (list, fields.get_mut(name)) {
            (Value::Object(inner), Some(field @ Value::Object(_))) => put(field, inner),
            _ => {
                fields.insert(name.clone(), list.clone());
            }
        }
    }
}

fn shorten(result: &mut Value, lists: &Map<String, Value>) {
    let Value::Object(fields) = result else { return };
    for (name, list) in lists {
        match (list, fields.get_mut(name)) {
            (Value::Object(inner), Some(field)) => shorten(field, inner),
            (_, Some(Value::Array(items))) => items.truncate(LIST_SAMPLE_ITEMS),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_concatenated_without_exact_duplicates() {
        let results = [
            json!({"summary": "a", "points": [1, {"x": 1}], "terms": {"dates": ["d"], "law": "A"}}),
            json!({"summary": "b", "points": [{"x": 1}, 2, 3, 4, 5, 6, 7, 8], "terms": {"dates": [], "law": "B"}}),
            json!({"summary": "c", "points": null, "terms": {"dates": ["d", "e"], "law": "C"}}),
        ];
        let lists = JoinedLists::from_results(&results);
        assert_eq!(lists.complete(), None);
        let joined = lists.put_into(json!({"summary": "all", "points": [], "terms": {"dates": [], "law": "A"}}));
        let points = json!([1, {"x": 1}, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(joined, json!({"summary": "all", "points": points, "terms": {"dates": ["d", "e"], "law": "A"}}));
        let shortened = lists.shorten(results[1].clone());
        assert_eq!(shortened["points"].as_array().unwrap().len(), LIST_SAMPLE_ITEMS);
        assert_eq!(shortened["summary"], "b");
    }

    #[test]
    fn results_of_lists_alone_need_no_model() {
        let rows = [json!({"rows": [1, 2], "more": {"x": []}}), json!({"rows": [2, 3], "more": {"x": ["y"]}})];
        let complete = JoinedLists::from_results(&rows).complete();
        assert_eq!(complete, Some(json!({"rows": [1, 2, 3], "more": {"x": ["y"]}})));
        assert_eq!(JoinedLists::from_results(&[json!([1]), json!([2])]).complete(), None);
        assert_eq!(JoinedLists::from_results(&[]).complete(), None);
        assert_eq!(JoinedLists::from_results(&[json!({"a": 1}), json!({"a": [1]})]).complete(), None);
    }
}

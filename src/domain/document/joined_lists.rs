//! The lists of chunk results: code concatenates them, so that no list of a joined result is
//! shorter than those of its chunks. A model joins what remains.

use serde_json::{Map, Value};

use crate::domain::evidence::{EVIDENCE_FIELD, Quote, take_quotes};
use crate::domain::limits::{JOINED_LEVELS_MAX, LIST_SAMPLE_ITEMS};

/// The lists that every chunk's result has at the same place, concatenated in the order of
/// the chunks, without exact duplicates. The passages that chunks name for items of the lists
/// follow the items to their new places.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinedLists {
    lists: Map<String, Value>,
    has_more: bool,
    /// The passages for the lists; `None` without evidence.
    quotes: Option<Vec<Quote>>,
}

impl JoinedLists {
    /// The lists of results.
    pub fn from_results(results: &[Value]) -> Self {
        let has_evidence = results.iter().any(|result| result.get(EVIDENCE_FIELD).is_some());
        let mut results = results.to_vec();
        let quotes: Vec<Vec<Quote>> = results.iter_mut().map(take_quotes).collect();
        let objects: Option<Vec<&Map<String, Value>>> = results.iter().map(Value::as_object).collect();
        let (lists, has_more) = match objects {
            Some(objects) if !objects.is_empty() => join(&objects, 0),
            _ => (Map::new(), true),
        };
        let moved = results.iter().zip(quotes).flat_map(|(result, quotes)| {
            quotes.into_iter().filter_map(|quote| move_quote(&lists, result, quote)).collect::<Vec<_>>()
        });
        let quotes = has_evidence.then(|| moved.collect());
        Self { lists, has_more, quotes }
    }

    /// The joined result, if the results have nothing but lists.
    pub fn complete(&self) -> Option<Value> {
        (!self.has_more && !self.lists.is_empty()).then(|| self.put_into(Value::Object(Map::new())))
    }

    /// Puts the lists into a result that a model joined.
    pub fn put_into(&self, mut result: Value) -> Value {
        let own = take_quotes(&mut result);
        put(&mut result, &self.lists);
        self.set_quotes(result, own, true)
    }

    /// A result for the model that joins: of each list that code joins, the first items show
    /// what the list is about.
    pub fn shorten(&self, mut result: Value) -> Value {
        let own = take_quotes(&mut result);
        shorten(&mut result, &self.lists);
        self.set_quotes(result, own, false)
    }

    /// Adds the passages of values outside the lists and, if asked for, those of the lists.
    fn set_quotes(&self, mut result: Value, own: Vec<Quote>, with_lists: bool) -> Value {
        if let (Some(of_lists), Value::Object(fields)) = (&self.quotes, &mut result) {
            let own = own.iter().filter(|quote| list_of(&self.lists, &quote.path).is_none());
            let quotes: Vec<&Quote> = own.chain(of_lists.iter().filter(|_| with_lists)).collect();
            fields.insert(EVIDENCE_FIELD.to_owned(), serde_json::json!(quotes));
        }
        result
    }
}

/// The list that has the value of a path: the list, its path, and the rest of the value's path.
fn list_of<'a>(lists: &'a Map<String, Value>, path: &str) -> Option<(&'a Vec<Value>, String, String)> {
    let mut steps = path.trim_start_matches('/').split('/');
    let (mut fields, mut place) = (lists, String::new());
    loop {
        let step = steps.next()?;
        place = format!("{place}/{step}");
        match fields.get(&step.replace("~1", "/").replace("~0", "~"))? {
            Value::Array(items) => return Some((items, place, steps.map(|step| format!("/{step}")).collect())),
            Value::Object(inner) => fields = inner,
            _ => return None,
        }
    }
}

/// The passage of an item, or of a value in it, at the item's place in the joined list. `None`
/// for a value outside the lists.
fn move_quote(lists: &Map<String, Value>, result: &Value, quote: Quote) -> Option<Quote> {
    let (items, list, rest) = list_of(lists, &quote.path)?;
    let Some(rest) = rest.strip_prefix('/') else { return Some(quote) };
    let (number, inner) =
        rest.split_once('/').map_or((rest, String::new()), |(number, inner)| (number, format!("/{inner}")));
    let item = result.pointer(&format!("{list}/{number}"))?;
    let place = items.iter().position(|joined| joined == item)?;
    Some(Quote { path: format!("{list}/{place}{inner}"), ..quote })
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

    #[test]
    fn passages_follow_the_items_of_their_lists() {
        let results = [
            json!({"points": ["a"], "law": "A", "docket_evidence": [{"p": "/points/0", "q": "qa"}, {"p": "/law", "q": "l"}]}),
            json!({"points": ["b", {"x": 1}], "law": "B", "docket_evidence": [{"p": "/points/0", "q": "qb"}, {"p": "/points/1/x", "q": "qx"}]}),
        ];
        let lists = JoinedLists::from_results(&results);
        let model = json!({"points": [], "law": "A", "docket_evidence": [{"p": "/law", "q": "l"}, {"p": "/points/0", "q": "no"}]});
        let quote = |path: &str, text: &str| json!({"p": path, "q": text});
        let expected = json!({"points": ["a", "b", {"x": 1}], "law": "A", "docket_evidence": [
            quote("/law", "l"), quote("/points/0", "qa"), quote("/points/1", "qb"), quote("/points/2/x", "qx")]});
        assert_eq!(lists.put_into(model), expected);
        assert_eq!(lists.shorten(results[0].clone())["docket_evidence"], json!([quote("/law", "l")]));
    }
}

//! Verdicts on single results. `tests/planted_evidence.rs` has many generated ones.

use serde_json::{Value, json};

use super::*;

const TEXT: &str = "LEASE\n\nBetween Ada Müller (landlord) and Ben O\u{2019}Neill, ten-\nant.\nThe rent is EUR 900.00 a \
month, due on 1 March 2026.\nThe tenant may not sublet the ﬂat.\n";

fn quote(path: &str, text: &str) -> Quote {
    Quote { path: path.into(), text: text.into() }
}

fn check_one(value: Value, text: &str) -> LeafEvidence {
    let evidence = check(TEXT, &[], &json!({"a": value}), &[quote("/a", text)], &json!({}));
    assert_eq!((evidence.of, evidence.leaves.len()), (1, 1));
    evidence.leaves[0].clone()
}

/// The passage of the text that a verdict names.
fn passage(leaf: &LeafEvidence) -> String {
    let (start, end) = (leaf.start.expect("a place"), leaf.end.expect("a place"));
    TEXT.chars().skip(start).take(end - start).collect()
}

#[test]
fn exact_and_normalized_passages_verify_with_their_place() {
    for (value, text, found, place, line) in [
        (json!(900), "The rent is EUR 900.00 a month", Found::Exact, "The rent is EUR 900.00 a month", 5),
        (json!("2026-03-01"), "due on 1 March 2026", Found::Exact, "due on 1 March 2026", 5),
        (json!("Ben O'Neill"), "Ben O'Neill, tenant", Found::Normalized, "Ben O\u{2019}Neill, ten-\nant", 3),
        (json!("flat"), "MAY NOT  SUBLET THE FLAT", Found::Normalized, "may not sublet the ﬂat", 6),
        (json!("Ada Müller"), "Mu\u{308}ller (landlord)", Found::Normalized, "Müller (landlord)", 3),
    ] {
        let leaf = check_one(value.clone(), text);
        assert_eq!((leaf.found, passage(&leaf).as_str(), leaf.line), (found, place, Some(line)), "{text}");
        assert_eq!(leaf.verified, value != json!("Ada Müller"), "{value} must be in the passage: {text}");
    }
}

#[test]
fn changed_passages_verify_nothing() {
    for (value, text) in [
        (json!(900), "The rent is EUR 990.00 a month"),
        (json!(90), "The rent is EUR 90"),
        (json!("2026-03-02"), "due on 2 March 2026"),
        (json!("flat"), "The tenant may sublet the flat"),
        (json!("Ada Miller"), "Ada Miller (landlord)"),
        (json!(900), "invented passage about 900 euros"),
        (json!(900), ""),
        (json!(1), "1"),
    ] {
        let leaf = check_one(value, text);
        assert!(!leaf.verified && !leaf.found.is_there(), "{text}: {leaf:?}");
    }
    let similar = check_one(json!(990), "The rent is EUR 990.00 a month, due on 1 March 2026");
    assert_eq!((similar.found, similar.verified), (Found::Approximate, false));
    assert!(passage(&similar).contains("rent is EUR 900"), "{}", passage(&similar));
}

#[test]
fn made_up_value_with_a_genuine_passage_is_flagged() {
    for value in [json!(950), json!("2026-04-01"), json!("Carl"), json!("the tenant may sublet")] {
        let leaf = check_one(value, "The rent is EUR 900.00 a month, due on 1 March 2026");
        assert_eq!((leaf.found, leaf.supported, leaf.verified), (Found::Exact, false, false));
    }
}

#[test]
fn value_without_quote_is_unverified_and_counts() {
    let result = json!({"rent": 900, "due": "2026-03-01", "none": null, "label": "lease", "confidence": 0.9});
    let quotes = [quote("/rent", "EUR 900.00"), quote("/label", "LEASE")];
    let evidence = check(TEXT, &[], &result, &quotes, &json!({}));
    assert_eq!((evidence.summary().as_str(), evidence.status()), ("2 of 3", EvidenceStatus::Unverified));
    assert_eq!(evidence.unverified_paths().collect::<Vec<_>>(), ["/due"]);
    assert_eq!(evidence.leaves.iter().find(|leaf| leaf.path == "/due").unwrap().quote, None);
    let image = Evidence::unverifiable(&result, &json!({}));
    assert_eq!((image.summary().as_str(), image.status(), image.of), ("unverifiable", EvidenceStatus::Unverifiable, 3));
}

#[test]
fn best_of_several_quotes_decides() {
    let quotes = [quote("/a", "nothing of this kind"), quote("/a", "EUR 900.00"), quote("/a", "may not sublet")];
    let evidence = check(TEXT, &[], &json!({"a": 900}), &quotes, &json!({}));
    assert_eq!((evidence.verified, evidence.leaves[0].quote.as_deref()), (1, Some("EUR 900.00")));
}

#[test]
fn result_with_very_many_values_stays_bounded() {
    let result = json!({"list": (0..2 * EVIDENCE_LEAVES_MAX).collect::<Vec<_>>()});
    let evidence = check(TEXT, &[], &result, &[], &json!({}));
    assert_eq!((evidence.of, evidence.leaves.len()), (2 * EVIDENCE_LEAVES_MAX, EVIDENCE_LEAVES_MAX));
    assert_eq!(evidence.status(), EvidenceStatus::Unverified);
}

#[test]
fn stored_evidence_is_read_back() {
    let evidence = check(TEXT, &[], &json!({"a": 900, "b": 1}), &[quote("/a", "EUR 900.00")], &json!({}));
    let json = serde_json::to_string(&evidence).unwrap();
    assert_eq!(serde_json::from_str::<Evidence>(&json).unwrap(), evidence);
    assert!(json.contains(r#""found":"exact""#), "{json}");
}

#[test]
fn passage_of_a_pdf_has_its_page() {
    let (first, second) = ("The first page. ", "The rent is EUR 900.00 a month.");
    let text = format!("{first}{second}");
    // The second page has no text.
    let starts = [0, first.len(), first.len()];
    let quotes = [quote("/a", "EUR 900.00"), quote("/b", "The first page")];
    let evidence = check(&text, &starts, &json!({"a": 900, "b": "first"}), &quotes, &json!({}));
    let pages: Vec<_> = evidence.leaves.iter().map(|leaf| leaf.page).collect();
    assert_eq!(pages, [Some(3), Some(1)]);
}

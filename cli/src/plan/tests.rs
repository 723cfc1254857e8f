//! Hand-computed plans, and properties of every plan.

use super::choice::{choose_settings, run_seconds};
use super::prices::Prices;
use super::*;

pub(super) fn work() -> Workload {
    Workload {
        documents: 10_000.0,
        seconds: 8.0,
        overhead_seconds: 0.2,
        tokens_in: 2_000.0,
        tokens_out: 300.0,
        max_tokens: 1_024.0,
        output_token_factor: 1.0,
        intake: Intake::Api,
    }
}

pub(super) fn limits() -> Limits {
    Limits {
        tokens_per_minute: 600_000.0,
        requests_per_minute: None,
        function_concurrency: 1_000,
        memory_mb: 512,
        deadline_seconds: 3_600.0,
        batch_size: None,
        maximum_concurrency: None,
        ramp: Ramp::AWS,
    }
}

fn make_plan(work: &Workload, limits: &Limits) -> Plan {
    plan(work.clone(), limits.clone(), DEFAULT_MODEL, &Prices::built_in()).expect("a plan")
}

fn limits_with(tokens_per_minute: f64, deadline_seconds: f64) -> Limits {
    Limits { tokens_per_minute, deadline_seconds, ..limits() }
}

#[test]
fn example_is_limited_by_tokens_and_meets_its_deadline() {
    let plan = make_plan(&work(), &limits());
    // 250.36 calls per minute: 10,000 / 250.36 = 39.94 min by the quota alone.
    assert_eq!(plan.binds, Bound::TokensPerMinute);
    assert!((plan.bounds[0].seconds / 60.0 - 39.94).abs() < 0.01);
    // The quota allows 250.36 / 60 × 8.2 = 34.2 concurrent calls, 35 rounded up. Two
    // batches of 17 fit, 34 calls. 10,000 / 17 = 589 batches and one more take 295
    // waves of 8.2 s, 2,419 s.
    assert_eq!(plan.settings, Settings { maximum_concurrency: 2, batch_size: 17 });
    assert!((plan.seconds - 2_419.0).abs() < 0.01, "{}", plan.seconds);
    assert!(plan.meets_deadline && plan.remedy.is_none());
    assert_eq!(
        plan.stack_parameters,
        "MaximumConcurrency=2 BatchSize=17 MaximumBatchingWindowSeconds=1 MaxTokens=1024 MemorySizeMb=512 ModelTokensPerMinute=600000"
    );
}

#[test]
fn cost_equals_the_hand_computed_sum() {
    let fixed = Limits { batch_size: Some(10), maximum_concurrency: Some(10), ..limits_with(6e6, 3_600.0) };
    let costs: Vec<Cost> = make_plan(&work(), &fixed).ways.iter().filter_map(|way| way.cost).collect();
    let near = |is: f64, expected: f64| assert!((is - expected).abs() < 0.0001, "{is} is not {expected}");
    // 20 million input tokens at $0.33 per million, 3 million output at $2.75: 6.60 + 8.25.
    near(costs[0].model, 14.85);
    // 1,001 batches × 8.2 s, and 10,000 × 0.1 s of the producer, with 0.5 GB: 4,604.1
    // GB-s × $0.0000166667. 11,001 invocations × $0.0000002.
    near(costs[0].functions, 4_604.1 * 0.000_016_666_7 + 0.0022);
    // 30,000 requests × $0.0000004.
    near(costs[0].queue, 0.012);
    // Write units: create 1, claim 1, result 2 (800 + 300 × 4 = 2,000 bytes). 40,000 ×
    // $0.000000625, and 10,000 reads × $0.000000125.
    near(costs[0].table, 0.025 + 0.00125);
    // One put, one get and one API request per document.
    near(costs[0].bucket, 0.05 + 0.004);
    near(costs[0].api, 0.035);
    let Cost { model, functions, queue, table, bucket, api, total } = costs[0];
    near(total, model + functions + queue + table + bucket + api);
    // One at a time, every document pays for its own waiting: 10,000 × 8.3 s.
    near(costs[1].functions, 41_500.0 * 0.000_016_666_7 + 0.004);
    near(costs[2].total, 7.425);
}

#[test]
fn queue_intake_costs_no_bucket_no_api_and_no_creation() {
    let cost = |intake| make_plan(&Workload { intake, ..work() }, &limits()).ways[0].cost.expect("a cost");
    let (queue, bucket) = (cost(Intake::Queue), cost(Intake::Bucket));
    assert_eq!((queue.bucket, queue.api), (0.0, 0.0));
    assert!((queue.table - 30_000.0 * 0.000_000_625).abs() < 1e-9);
    assert!((bucket.bucket - 0.054).abs() < 1e-9 && bucket.api == 0.0);
}

#[test]
fn missed_deadline_names_the_quota_that_meets_it() {
    // 10,000 in 10 minutes: 1,000 calls per minute × 2,396.53 tokens = 2.4 million.
    let missed = make_plan(&work(), &limits_with(600_000.0, 600.0));
    assert!(!missed.meets_deadline);
    let remedy = missed.remedy.expect("a remedy");
    let tokens = remedy.tokens_per_minute.expect("more tokens");
    assert!((2_396_530.0..=2_480_000.0).contains(&tokens), "{tokens}");
    assert!(make_plan(&work(), &limits_with(tokens, 600.0)).meets_deadline);
    assert!(make_plan(&work(), &limits_with(600_000.0, remedy.possible_deadline_seconds)).meets_deadline);
    assert_eq!((remedy.requests_per_minute, remedy.function_concurrency), (None, None));
}

#[test]
fn deadline_before_the_first_answer_has_no_remedy() {
    let missed = make_plan(&work(), &limits_with(1e9, 5.0));
    let remedy = missed.remedy.expect("a remedy");
    assert_eq!((remedy.tokens_per_minute, remedy.function_concurrency), (None, None));
    // 101 batches of 100: 5 at the start and 5 more per second. From 8.2 s on, others
    // follow those that have ended. 5 + 5 t + 5 + 5 (t − 8.2) = 101 at t = 13.2 s. The
    // last batch takes 8.2 s.
    assert!((21.4..21.8).contains(&remedy.earliest_seconds), "{remedy:?}");
}

#[test]
fn slowest_bound_is_the_one_that_binds() {
    let wide = limits_with(1e12, 3_600.0);
    // One wave: the duration of a model call.
    assert_eq!(make_plan(&Workload { documents: 100.0, ..work() }, &wide).binds, Bound::Model);
    // Two functions of 100 documents: 200 / 8.2 s = 24 per second.
    let few = Limits { function_concurrency: 2, ..wide.clone() };
    assert_eq!(make_plan(&work(), &few).binds, Bound::FunctionConcurrency);
    // Batches of one, of which five run at the start.
    let ramp = Limits { batch_size: Some(1), ..wide.clone() };
    assert_eq!(make_plan(&Workload { documents: 1_000.0, ..work() }, &ramp).binds, Bound::Ramp);
    let requests = Limits { requests_per_minute: Some(10.0), ..wide };
    assert_eq!(make_plan(&work(), &requests).binds, Bound::RequestsPerMinute);
}

#[test]
fn remedy_requests_more_functions_if_they_are_missing() {
    let few = Limits { function_concurrency: 2, ..limits_with(1e12, 300.0) };
    let remedy = make_plan(&work(), &few).remedy.expect("a remedy");
    // 10,000 in 300 s: 36 waves of 8.2 s, 278 in each: 3 functions of 100.
    assert_eq!(remedy.function_concurrency, Some(3));
}

#[test]
fn long_call_gets_a_longer_time_out_or_no_plan() {
    let parameters = |seconds| make_plan(&Workload { seconds, ..work() }, &limits()).stack_parameters;
    // The default of 180 s has a model time-out of 150 s: twice 75 s.
    assert!(!parameters(75.0).contains("FunctionTimeoutSeconds"));
    assert!(parameters(76.0).ends_with("FunctionTimeoutSeconds=300"));
    let too_long = plan(Workload { seconds: 431.0, ..work() }, limits(), DEFAULT_MODEL, &Prices::built_in());
    assert_eq!(too_long, Err(Impossible::CallTooLong(431.0)));
}

/// An endless sequence of random workloads and limits, always the same one.
fn cases() -> impl Iterator<Item = (Workload, Limits)> {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(move || {
        let mut up_to = |most: f64| most.powf(random.f64()).ceil();
        let work = Workload {
            documents: up_to(1e5),
            seconds: up_to(200.0),
            tokens_in: up_to(1e5),
            tokens_out: up_to(4e3),
            max_tokens: up_to(6e4),
            output_token_factor: up_to(15.0),
            ..work()
        };
        let limits = Limits { deadline_seconds: up_to(1e6), ..limits_with(up_to(1e8), 0.0) };
        (work, Limits { function_concurrency: up_to(1e3).max(2.0) as u32, memory_mb: 512, ..limits })
    })
    .take(300)
}

#[test]
fn settings_are_always_within_the_template_limits() {
    for (work, limits) in cases() {
        let plan = make_plan(&work, &limits);
        let Settings { maximum_concurrency, batch_size } = plan.settings;
        assert!((MAXIMUM_CONCURRENCY_MIN..=MAXIMUM_CONCURRENCY_MAX).contains(&maximum_concurrency), "{plan:?}");
        assert!((1..=BATCH_SIZE_MAX).contains(&batch_size) && batch_size <= BATCH_SIZE_CHOSEN_MAX, "{plan:?}");
        assert!(maximum_concurrency <= limits.function_concurrency, "{plan:?}");
        assert_eq!(plan.stack_parameters.contains("MaximumBatchingWindowSeconds=1"), batch_size > 10);
        assert_eq!(plan.meets_deadline, plan.remedy.is_none());
        assert!(plan.seconds.is_finite() && plan.seconds >= work.batch_seconds(), "{plan:?}");
    }
}

#[test]
fn larger_quota_never_makes_a_run_longer() {
    for (work, limits) in cases() {
        // An impossible deadline makes the plan choose the fastest settings.
        let fastest = |factor: f64| {
            let tokens_per_minute = limits.tokens_per_minute * factor;
            choose_settings(&work, &Limits { tokens_per_minute, deadline_seconds: 0.0, ..limits.clone() }).seconds
        };
        let settings = Settings { maximum_concurrency: 37, batch_size: 10 };
        let fixed = |factor: f64| {
            let tokens_per_minute = limits.tokens_per_minute * factor;
            run_seconds(&work, &Limits { tokens_per_minute, ..limits.clone() }, settings)
        };
        for (less, more) in [(1.0, 1.3), (1.0, 2.0), (0.1, 1.0)] {
            assert!(fastest(more) <= fastest(less) + 0.01, "{work:?} {limits:?} {less} {more}");
            assert!(fixed(more) <= fixed(less) + 0.01, "{work:?} {limits:?}");
        }
    }
}

#[test]
fn no_cheaper_setting_within_the_quota_meets_the_deadline() {
    for (work, limits) in cases().take(60) {
        let chosen = choose_settings(&work, &limits);
        if chosen.seconds > limits.deadline_seconds {
            continue;
        }
        for batch_size in chosen.settings.batch_size + 1..=BATCH_SIZE_CHOSEN_MAX {
            let larger = choose_settings(&work, &Limits { batch_size: Some(batch_size), ..limits.clone() });
            let allowed = quota::calls_per_second(&work, &limits).0 * work.batch_seconds();
            let is_within_quota = f64::from(larger.settings.in_flight()) <= allowed.ceil();
            let is_eligible =
                f64::from(batch_size) <= work.documents && batch_size * 4 * (work.tokens_in as u32) * 4 <= 384_000_000;
            assert!(
                !(is_within_quota && is_eligible && larger.seconds <= limits.deadline_seconds),
                "{chosen:?} {larger:?}"
            );
        }
    }
}

#[test]
fn every_model_has_prices_and_a_source() {
    let prices = Prices::built_in();
    assert_eq!(prices.date.len(), "2026-11-22".len());
    assert!(prices.models.len() >= 5);
    for (model, price) in &prices.models {
        assert!(price.page.starts_with("https://") && !price.seen.is_empty(), "{model}");
        assert!(price.input_per_1000 > 0.0 && price.output_per_1000 > 0.0 && price.output_token_factor >= 1.0);
    }
    // A profile without its own prices has those of its foundation model.
    assert_eq!(prices.model("us.amazon.nova-micro-v1:0"), prices.model("amazon.nova-micro-v1:0"));
    assert_ne!(prices.model("global.amazon.nova-2-lite-v1:0"), prices.model("us.amazon.nova-2-lite-v1:0"));
    assert_eq!(prices.model("us.unknown.model"), None);
}

//! The calls for one document: through the gate, within the quota, with one repair.

use std::time::Duration;

use super::admission::{Admission, Permit};
use super::delivery::Delivery;
use super::evidence_check;
use super::gate::Gate;
use super::measures::measure_answer;
use super::schema_primer::SchemaPrimer;
use crate::aws::model::{Answer, AnsweredCall, Call, CallError, Complaint, Model, Question, Rejected};
use crate::clock::now;
use crate::domain::analysis::answer_form::AnswerForm;
use crate::domain::document::{Content, Document};
use crate::domain::failure::Failure;
use crate::domain::hold::HoldTarget;
use crate::domain::job::ending::AttemptError;
use crate::domain::job::stored::Usage;
use crate::metrics::{Meter, table};

/// Calls the model for one document.
#[derive(Debug, Clone)]
pub(super) struct Conversation {
    pub model: Model,
    pub gate: Gate,
    pub primer: SchemaPrimer,
    /// `None` when no quota is configured.
    pub admission: Option<Admission>,
    pub meter: Meter,
}

impl Conversation {
    /// Analyses one document. The model is asked a second time, in the same attempt:
    ///
    /// - after an answer that does not fit, with the complaint about it;
    /// - or after a broken tool call.
    ///
    /// After the refusal of a form, the model is asked in its next form. Each form is refused
    /// once at most, and a refusal costs no tokens.
    ///
    /// With evidence, the model is asked a second time for the passages of values that have none,
    /// if the first answer fits. The better answer counts.
    ///
    /// With `ignores_store`, a hold of the store does not stop the calls: the attempt holds paid
    /// answers that the bucket did not store.
    pub(super) async fn converse(
        &self,
        call: &Call<'_>,
        document: Document,
        permit: Option<Permit>,
        delivery: &Delivery,
        ignores_store: bool,
    ) -> Result<Answer, AttemptError> {
        let Fitting { answer, question, form } =
            self.ask_until_fit(call, document, permit, delivery, ignores_store).await?;
        if question.is_repair() || !delivery.has_time() {
            return Ok(answer);
        }
        let Some(gaps) = evidence_check::find_gaps(call.analysis, question.document(), &answer.result).await else {
            return Ok(answer);
        };
        let question = question.again(Complaint::about_fit_answer(gaps.complaint()));
        let called = self.call_model(call, &question, form, None, delivery, ignores_store).await;
        let Ok(Called::Answered(AnsweredCall { usage, elapsed, answer: second })) = called else { return Ok(answer) };
        let (mut spent, elapsed) = (answer.usage, answer.elapsed + elapsed);
        spent += usage;
        let second = match second {
            Ok(second) if gaps.has_fewer(call.analysis, question.document(), &second.result).await => second,
            _ => answer,
        };
        Ok(Answer { usage: spent, elapsed, ..second })
    }

    /// Asks until an answer fits, at most twice.
    async fn ask_until_fit(
        &self,
        call: &Call<'_>,
        document: Document,
        mut permit: Option<Permit>,
        delivery: &Delivery,
        ignores_store: bool,
    ) -> Result<Fitting, AttemptError> {
        let mut question = Question::new(document);
        let mut form = self.model.first_form(call)?;
        let (mut spent, mut duration) = (Usage::default(), Duration::ZERO);
        // The error of a paid call, which charges the attempt in every case.
        let mut first_error: Option<AttemptError> = None;
        loop {
            let called = self.call_model(call, &question, form, permit.take(), delivery, ignores_store).await;
            let next = match (called, &first_error) {
                (Ok(Called::Answered(AnsweredCall { usage, elapsed, answer })), _) => {
                    spent += usage;
                    duration += elapsed;
                    match answer {
                        Ok(answer) => {
                            let answer = Answer { usage: spent, elapsed: duration, ..answer };
                            return Ok(Fitting { answer, question, form });
                        }
                        Err(rejected) => rejected,
                    }
                }
                (Ok(Called::FormRefused(next)), None) => {
                    form = next;
                    continue;
                }
                (Ok(Called::BrokenToolUse(failure)), Some(_)) if !question.is_repair() => {
                    return Err(AttemptError::Permanent(failure));
                }
                (Ok(Called::BrokenToolUse(failure)), None) => {
                    Rejected { error: AttemptError::Transient(failure), complaint: None }
                }
                (_, Some(error)) => return Err(error.clone()),
                (Err(error), None) => return Err(error),
            };
            let Rejected { error, complaint } = next;
            let is_transient = matches!(error, AttemptError::Transient(_));
            if first_error.is_some() || !is_transient || !delivery.has_time() {
                return Err(error);
            }
            first_error = Some(error);
            if let Some(complaint) = complaint {
                question = question.again(*complaint);
            }
        }
    }

    /// Makes one call through the gate and within the quota of its model.
    async fn call_model(
        &self,
        call: &Call<'_>,
        question: &Question,
        form: AnswerForm,
        permit: Option<Permit>,
        delivery: &Delivery,
        ignores_store: bool,
    ) -> Result<Called, AttemptError> {
        if let Some(on_hold) = self.gate.blocks_model(call.model_id).await
            && !(ignores_store && on_hold.target == HoldTarget::Store)
        {
            return Err(AttemptError::OnHold(on_hold));
        }
        self.gate.resolve_doubt(call.model_id, delivery).await?;
        let priming = self.primer.wait(call, form, delivery.latest_start()).await?;
        let document = question.document();
        let mut permit = match self.admission.as_ref().filter(|admission| admission.applies_to(call.model_id)) {
            Some(admission) => {
                let is_text = matches!(document.content(), Content::Text { .. });
                let input_bytes = is_text.then(|| document.size_bytes() + call.analysis.prompt_bytes());
                let request = delivery.admission_request();
                Some(admission.admit(permit, input_bytes, call.analysis.max_tokens, request).await?)
            }
            None => {
                drop(permit);
                None
            }
        };
        // The steps before the call took some of the time.
        if !delivery.has_time() {
            return Err(AttemptError::NoTime);
        }
        if let Some(permit) = &mut permit {
            permit.begin_call();
        }
        let begun = now();
        self.meter.add(table::MODEL_CALLS, 1);
        let error = match self.model.converse(call, question, form).await {
            Ok(answered) => {
                self.gate.answered(call.model_id);
                priming.finish();
                measure_answer(&self.meter, &answered);
                if let Some(permit) = permit.filter(|_| answered.usage.input_tokens > 0) {
                    self.meter.add(table::QUOTA_USED_MS, permit.used_ms(answered.usage));
                    permit.settle(answered.usage, answered.elapsed);
                }
                return Ok(Called::Answered(answered));
            }
            Err(CallError::BrokenToolUse(failure)) => {
                self.gate.answered(call.model_id);
                return Ok(Called::BrokenToolUse(failure));
            }
            Err(CallError::FormRefused(error)) => match self.model.next_form(call, form) {
                Some(next) => return Ok(Called::FormRefused(next)),
                None => error,
            },
            Err(CallError::Attempt(error)) => error,
        };
        let error = match permit {
            Some(permit) => permit.charge_if_too_large(error),
            None => error,
        };
        Err(self.gate.judge((call.job_id, call.model_id), error, begun, delivery).await)
    }
}

/// An answer that fits, and how it was asked for.
struct Fitting {
    answer: Answer,
    question: Question,
    form: AnswerForm,
}

/// The end of one call.
enum Called {
    /// Bedrock answered.
    Answered(AnsweredCall),
    /// The model refuses the form; this is its next one.
    FormRefused(AnswerForm),
    /// The model produced a broken tool call.
    BrokenToolUse(Failure),
}

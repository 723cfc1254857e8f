//! The effect of each step in the model of holds.

use docket::domain::hold::probe::{ProbeStep, probe_step};

use crate::hold_state::{HoldWorld, Message, RemovedFromHold, Status, Step, StoredHold, Worker, real_hold};
use crate::job::{NOW, timestamp};

impl HoldWorld {
    /// Delivers a message to an idle worker that asks the table for the hold, or relies on a
    /// read without a hold some time ago. `None` if the message is only retried.
    pub fn deliver(
        &mut self,
        worker: usize,
        message: Message,
        reads_hold: bool,
        removed: RemovedFromHold,
    ) -> Option<()> {
        let step = match message {
            Message::Job { job, is_first_delivery } => {
                self.start_job(worker, job, is_first_delivery, reads_hold, removed)?
            }
            // The delay of a probe is longer than the time from its send to the hold.
            Message::Probe(probe) if self.is_sent_for_later(probe) => return None,
            Message::Probe(probe) => {
                let stored = self.hold.as_ref().map(real_hold);
                match probe_step(stored.as_ref(), probe.into(), timestamp(NOW)) {
                    ProbeStep::Superseded => Step::Acknowledge,
                    ProbeStep::Busy { .. } => return None,
                    ProbeStep::Ended if removed == RemovedFromHold::ResendWithoutHold => Step::Acknowledge,
                    ProbeStep::Ended => Step::SendResend,
                    ProbeStep::Probe => {
                        self.hold.as_mut()?.has_lease = true;
                        Step::Ask { probe }
                    }
                }
            }
            Message::Resend | Message::LastLook { waits_for: 0 } => {
                let waiting = self.jobs.iter().enumerate().filter(|(_, job)| job.is_waiting);
                let left = waiting.fold(0, |left, (job, _)| left | 1 << job);
                match (self.hold, left, message) {
                    (Some(_), _, _) => Step::Acknowledge,
                    (None, 0, Message::Resend) if removed != RemovedFromHold::LastLook => Step::SendLastLook,
                    (None, 0, _) => Step::Acknowledge,
                    (None, left, _) => Step::SendJob { left, unchanged: left },
                }
            }
            Message::LastLook { .. } => return None,
        };
        self.workers[worker].task = Some((message, step));
        Some(())
    }

    fn start_job(
        &mut self,
        worker: usize,
        index: usize,
        is_first_delivery: bool,
        reads_hold: bool,
        removed: RemovedFromHold,
    ) -> Option<Step> {
        let worker = &mut self.workers[worker];
        worker.knows_hold |= reads_hold && self.hold.is_some();
        let job = &mut self.jobs[index];
        match job.status {
            Status::Complete => return Some(Step::Acknowledge),
            Status::Processing { worker_is_alive: true } => return None,
            Status::Processing { .. } if worker.knows_hold && removed == RemovedFromHold::WaitAfterCrash => {
                job.has_delayed = true;
                return Some(Step::Acknowledge);
            }
            Status::Processing { .. } | Status::Pending if worker.knows_hold => {
                if job.is_waiting && !is_first_delivery {
                    job.has_delayed = true;
                    return Some(Step::Acknowledge);
                }
                return Some(Step::Park { job: index });
            }
            Status::Processing { .. } | Status::Pending => {}
        }
        (job.status, job.is_waiting) = (Status::Processing { worker_is_alive: true }, false);
        job.charged += 1;
        self.change(index);
        Some(Step::Call { job: index, fails: self.has_fault })
    }

    /// Notes a write to a job, for the resends that read it before.
    fn change(&mut self, job: usize) {
        for (_, step) in self.workers.iter_mut().filter_map(|worker| worker.task.as_mut()) {
            if let Step::SendJob { unchanged, .. } | Step::Unpark { unchanged, .. } = step {
                *unchanged &= !(1 << job);
            }
        }
    }

    /// Takes a worker's next step.
    pub fn advance(&mut self, index: usize, removed: RemovedFromHold) -> Option<()> {
        let (message, step) = self.workers[index].task?;
        let next = match step {
            Step::Call { job, fails: false } => {
                self.jobs[job].status = Status::Complete;
                Step::Acknowledge
            }
            Step::Call { job, fails: true } if self.workers[index].knows_hold => Step::Release { job },
            Step::Call { job, fails: true } if removed == RemovedFromHold::FirstProbeFirst => Step::StoreHold { job },
            Step::Call { job, fails: true } => Step::SendFirstProbe { job },
            Step::SendFirstProbe { job } => {
                self.queue.push(Message::Probe(0));
                if removed == RemovedFromHold::FirstProbeFirst {
                    Step::Release { job }
                } else {
                    Step::StoreHold { job }
                }
            }
            Step::StoreHold { job } => {
                self.hold.get_or_insert(StoredHold { probe: 0, has_lease: false });
                self.workers[index].knows_hold = true;
                if removed == RemovedFromHold::FirstProbeFirst {
                    Step::SendFirstProbe { job }
                } else {
                    Step::Release { job }
                }
            }
            Step::Release { job } => {
                let released = &mut self.jobs[job];
                (released.status, released.is_waiting, released.has_delayed) = (Status::Pending, true, true);
                released.charged -= u8::from(removed != RemovedFromHold::FreeRelease);
                self.change(job);
                Step::Acknowledge
            }
            Step::Park { job } => {
                let parked = &mut self.jobs[job];
                // A worker may have claimed the job since.
                if !matches!(parked.status, Status::Complete | Status::Processing { worker_is_alive: true }) {
                    parked.is_waiting = true;
                    self.change(job);
                }
                self.jobs[job].has_delayed = true;
                Step::Acknowledge
            }
            Step::Ask { probe } if self.has_fault && removed == RemovedFromHold::NextProbeFirst => {
                Step::ExpectNextProbe { probe }
            }
            Step::Ask { probe } if self.has_fault => Step::SendNextProbe { probe },
            Step::Ask { .. } => Step::EndHold,
            Step::SendNextProbe { probe } => {
                self.queue.push(Message::Probe(probe + 1));
                if removed == RemovedFromHold::NextProbeFirst {
                    Step::Acknowledge
                } else {
                    Step::ExpectNextProbe { probe }
                }
            }
            Step::ExpectNextProbe { probe } => {
                if let Some(hold) = self.hold.as_mut().filter(|hold| hold.probe == probe) {
                    *hold = StoredHold { probe: probe + 1, has_lease: false };
                }
                if removed == RemovedFromHold::NextProbeFirst {
                    Step::SendNextProbe { probe }
                } else {
                    Step::Acknowledge
                }
            }
            Step::EndHold => {
                self.hold = None;
                Step::SendResend
            }
            Step::SendResend => {
                self.workers[index].knows_hold = false;
                self.queue.push(Message::Resend);
                Step::Acknowledge
            }
            Step::SendLastLook => {
                self.queue.push(Message::LastLook { waits_for: self.stale_workers() });
                Step::Acknowledge
            }
            Step::SendJob { left, unchanged } => {
                let job = left.trailing_zeros() as usize;
                self.queue.push(Message::Job { job, is_first_delivery: true });
                Step::Unpark { left, unchanged }
            }
            Step::Unpark { left, unchanged } => {
                let job = left.trailing_zeros() as usize;
                if unchanged & 1 << job != 0 || removed == RemovedFromHold::UnchangedJob {
                    self.jobs[job].is_waiting = false;
                }
                match left & !(1 << job) {
                    0 => Step::SendResend,
                    left => Step::SendJob { left, unchanged },
                }
            }
            Step::Acknowledge => {
                self.workers[index].task = None;
                self.end_invocation(index);
                return Some(());
            }
        };
        self.workers[index].task = Some((message, next));
        Some(())
    }

    /// The workers that may still let a job wait for a hold that has ended.
    fn stale_workers(&self) -> u8 {
        let is_stale = |worker: &Worker| {
            worker.knows_hold || matches!(worker.task, Some((_, Step::Park { .. } | Step::Release { .. })))
        };
        self.workers.iter().enumerate().fold(0, |set, (index, worker)| set | u8::from(is_stale(worker)) << index)
    }

    /// Ends a worker in the middle of its task. SQS delivers the message again.
    pub fn crash(&mut self, index: usize) {
        let Some((message, step)) = std::mem::take(&mut self.workers[index]).task else { return };
        if let Step::Call { job, .. } | Step::SendFirstProbe { job } | Step::StoreHold { job } | Step::Release { job } =
            step
        {
            self.jobs[job].status = Status::Processing { worker_is_alive: false };
            self.jobs[job].charged -= 1;
        }
        let message = match message {
            Message::Job { job, .. } => Message::Job { job, is_first_delivery: false },
            other => other,
        };
        let busy = self.workers.iter().enumerate().filter(|(_, worker)| worker.task.is_some());
        let busy = busy.fold(0, |set, (other, _)| set | 1 << other);
        self.invisible.push((message, busy));
        self.end_invocation(index);
    }

    /// Lets messages of crashed workers become visible that wait for no other worker.
    fn end_invocation(&mut self, worker: usize) {
        self.invisible.iter_mut().for_each(|(_, busy)| *busy &= !(1 << worker));
        let visible = self.invisible.iter().filter(|(_, busy)| *busy == 0).map(|(message, _)| *message);
        self.queue.extend(visible);
        self.invisible.retain(|(_, busy)| *busy != 0);
    }

    /// The messages that are in the queue or not yet acknowledged.
    pub fn messages(&self) -> impl Iterator<Item = Message> {
        let handled = self.workers.iter().filter_map(|worker| worker.task).map(|(message, _)| message);
        self.queue.iter().copied().chain(self.invisible.iter().map(|(message, _)| *message)).chain(handled)
    }

    /// Whether a worker sent this probe, and stores next that the hold expects it.
    fn is_sent_for_later(&self, number: u8) -> bool {
        self.workers.iter().filter_map(|worker| worker.task).any(|(_, step)| match step {
            Step::StoreHold { .. } => number == 0,
            Step::ExpectNextProbe { probe } => number == probe + 1,
            _ => false,
        })
    }

    /// Whether the lease of the hold belongs to no worker.
    pub fn lease_is_orphaned(&self) -> bool {
        let is_probing = |worker: &Worker| matches!(worker.task, Some((Message::Probe(_), step)) if !matches!(step, Step::Acknowledge | Step::SendResend));
        self.hold.is_some_and(|hold| hold.has_lease) && !self.workers.iter().any(is_probing)
    }

    /// Maps equivalent states to one, and lets the last look wait for fewer workers.
    pub fn normalize(&mut self) {
        let stale = self.stale_workers();
        for message in &mut self.queue {
            if let Message::LastLook { waits_for } = message {
                *waits_for &= stale;
            }
        }
        self.queue.sort_unstable();
        self.queue.dedup();
    }

    /// Whether a job will run although none of its delayed messages is delivered.
    pub fn is_supported(&self, index: usize) -> bool {
        let job = &self.jobs[index];
        let is_of_job = |message: &Message| matches!(message, Message::Job { job, .. } if *job == index);
        let handled = self.workers.iter().filter_map(|worker| worker.task);
        let handled = handled.filter(|(_, step)| *step != Step::Acknowledge).map(|(message, _)| message);
        let waiting = self.invisible.iter().map(|(message, _)| *message);
        let messages: Vec<Message> = self.queue.iter().copied().chain(waiting).chain(handled).collect();
        let has_own = messages.iter().any(is_of_job);
        let is_resent = match self.hold {
            Some(hold) => messages.contains(&Message::Probe(hold.probe)),
            None => messages.iter().any(|message| !matches!(message, Message::Job { .. })),
        };
        job.status == Status::Complete || has_own || job.is_waiting && is_resent
    }
}

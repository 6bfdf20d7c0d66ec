/** The four questions an auditor asks of a change, answered from counted facts. */

export interface LoopEvidence {
  readonly planDigest: string | null;
  readonly outcome: string | null;
  readonly ringsOpened: number;
  readonly ringsNotApproved: number;
  readonly approvals: readonly { readonly state: string; readonly planDigest: string }[];
  readonly begun: number;
  readonly notPlanned: number;
  readonly otherContent: number;
  readonly outsideWindow: number;
  readonly succeeded: number;
  readonly scanned: number;
  /** Endpoints that left something out, each with its reason: of that nothing is confirmed. Null: nobody has counted. */
  readonly declined: number | null;
  /** As counted when it closed: endpoints that scans showed it on, that scans did not show it on, and that had sent none. Null: nobody has counted. */
  readonly confirmed: number | null;
  readonly missing: number | null;
  readonly unconfirmed: number | null;
  /** Endpoints that had not shown it then, and that a scan has proven since. */
  readonly shownSince: number;
}

export interface Verdict {
  /** `notYet`: nothing has begun that needed it. */
  readonly answer: 'yes' | 'no' | 'notYet';
  readonly why: string;
}

/** Was it authorised? Every ring that opened must have been opened under a digest of its own plan, with all the approvals its policy asks for. */
export function authorised(loop: LoopEvidence): Verdict {
  if (loop.ringsNotApproved > 0)
    return no(`${loop.ringsNotApproved} of ${loop.ringsOpened} rings opened without approval of this plan`);
  const approved = loop.approvals.filter((one) => one.state === 'approved').length;
  if (loop.ringsOpened === 0)
    return notYet(loop.outcome === null ? 'no ring has opened' : 'it closed before a ring opened');
  return yes(
    approved === 0
      ? 'its policy asks for no approval'
      : `${approved} ${approved === 1 ? 'request' : 'requests'} approved`,
  );
}

/** Done as authorised? On planned endpoints alone, with the planned content, inside the windows given. */
export function asAuthorised(loop: LoopEvidence): Verdict {
  const wrong = [
    ...(loop.notPlanned > 0 ? [`${loop.notPlanned} on endpoints not in the plan`] : []),
    ...(loop.otherContent > 0 ? [`${loop.otherContent} with other content than planned`] : []),
    ...(loop.outsideWindow > 0 ? [`${loop.outsideWindow} begun outside of their window`] : []),
  ];
  if (wrong.length > 0) return no(`of ${loop.begun} begun: ${wrong.join(', ')}`);
  if (loop.begun === 0) return notYet('nothing has begun');
  return yes(`${loop.begun} begun, all as planned and inside their windows`);
}

/**
 * Confirmed? A report is no proof: each endpoint that says it succeeded must have been scanned since, and show it. Nor is it one that
 * nobody has work with it any more: what had not shown it when the change closed counts once a scan has proven it.
 */
export function confirmed(loop: LoopEvidence): Verdict {
  const { succeeded, scanned, shownSince } = loop;
  if (succeeded === 0) return notYet('no endpoint says it succeeded');
  const unscanned = succeeded - scanned;
  const noScan = `${unscanned} of ${succeeded} endpoints have sent no scan since`;
  if (loop.outcome === null) return notYet(unscanned > 0 ? noScan : 'all are scanned; the change is still open');
  const unshown = Math.max(unscanned, succeeded - (loop.confirmed ?? 0), (loop.missing ?? 0) + (loop.unconfirmed ?? 0));
  const left = unshown - shownSince;
  if (left > 0) return no(unscanned >= left ? noScan : `${left} of ${succeeded} endpoints did not show it`);
  const declined = loop.declined ?? 0;
  const less =
    declined > 0
      ? `; ${declined} ${declined === 1 ? 'endpoint' : 'endpoints'} did less than planned, and said why`
      : '';
  const later =
    shownSince > 0 ? `; ${shownSince} ${shownSince === 1 ? 'endpoint' : 'endpoints'} only by a later one` : '';
  return yes(`${scanned} scans${later}${less}`);
}

const yes = (why: string): Verdict => ({ answer: 'yes', why });
const no = (why: string): Verdict => ({ answer: 'no', why });
const notYet = (why: string): Verdict => ({ answer: 'notYet', why });

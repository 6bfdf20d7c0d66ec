/**
 * What time the server has. Permits are judged by the *latest* it can be: a reply's server time was read after our request
 * left, so it can't be older than "now minus what passed since the request was sent". Monotonic time stands still in a
 * suspended machine and wall time can be set back, so what passed is the larger of the two.
 */
export interface ServerClock {
  /** Take in a reply: when its request left us, and what the server says. */
  heard(reply: { readonly sent: Moment; readonly serverTime: number }): void;
  /** The latest the server's clock can show now, in epoch ms; null before the first reply since we started. */
  latest(): number | null;
  /**
   * What we claim the time to be, in signatures; our own clock before any reply. The server may conclude from it that a
   * permit ended unused, so `latest` never goes back behind a claim, also when a later reply teaches us better.
   */
  claim(): number;
  /** As `latest`, for stamps of no consequence: our own clock before any reply. */
  estimate(): number;
  /** How far our wall clock is ahead of the server's, ms; null before the first reply. Exact to the round trip's time. */
  skewMs(): number | null;
}

export interface Moment {
  /** Monotonic ms. */
  readonly mono: number;
  /** Wall clock, epoch ms. */
  readonly wall: number;
}

/** Above this, `apply` is refused until the clock is put right (design §4). */
export const MAX_SKEW_MS = 2 * 60_000;

const CLAIM_LIMIT_MS = 60_000;

export function createServerClock(now: () => Moment): ServerClock {
  let anchor: { sent: Moment; serverTime: number; skewMs: number } | null = null;
  let claimed = 0;
  const latest = (): number | null => {
    if (anchor === null) return null;
    const at = now();
    const passed = Math.max(at.mono - anchor.sent.mono, at.wall - anchor.sent.wall, 0);
    return Math.max(Math.ceil(anchor.serverTime + passed), claimed);
  };
  return {
    heard({ sent, serverTime }) {
      const { wall } = now();
      // The server bounds a claim by its own time, so one far ahead (a clock that was wrong for a while) binds nobody.
      if (claimed > serverTime + CLAIM_LIMIT_MS) claimed = serverTime;
      // The server's reading lies between our sending and our hearing: inside that span there is no skew to speak of.
      const ahead = sent.wall - serverTime;
      const behind = serverTime - wall;
      anchor = { sent, serverTime, skewMs: ahead > 0 ? ahead : behind > 0 ? -behind : 0 };
    },
    latest,
    claim() {
      const at = latest();
      if (at !== null) claimed = Math.max(claimed, at);
      return at ?? now().wall;
    },
    estimate: () => latest() ?? now().wall,
    skewMs() {
      if (anchor === null) return null;
      const at = now();
      // A wall clock set since the reply shows as wall and monotonic time drifting apart.
      const drift = at.wall - anchor.sent.wall - (at.mono - anchor.sent.mono);
      return Math.abs(drift) > 1_000 ? anchor.skewMs + drift : anchor.skewMs;
    },
  };
}

/** Null when `apply` may go ahead, else why our clock forbids it. */
export function clockObjection(clock: Pick<ServerClock, 'latest' | 'skewMs'>): string | null {
  const skew = clock.skewMs();
  if (clock.latest() === null || skew === null) return "the server's time is not known yet";
  if (Math.abs(skew) <= MAX_SKEW_MS) return null;
  return `this endpoint's clock is ${Math.round(Math.abs(skew) / 60_000)} min ${skew > 0 ? 'ahead of' : 'behind'} the server's`;
}

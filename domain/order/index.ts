export type { AgentEvent, OrderEvent, OrderEventType, ServerEvent } from './events.js';
export { isAgentEvent } from './events.js';
export type { OrderCore, ReduceResult, Violation } from './reduce.js';
export { newOrder, offeredOrder, phaseOf, reduceOrder } from './reduce.js';
export type { BudgetClass, OrderKind, OrderPhase, OrderState, StateTraits } from './states.js';
export { BEFORE_APPLY, budgetClass, isMutating, isSettled, ORDER_KINDS, ORDER_STATES, STATE_TRAITS } from './states.js';
export type { Transition } from './transitions.js';
export { findTransition, SILENCE_MINUTES, statesAllowing, TRANSITIONS } from './transitions.js';

/** The console: pages rendered here, working without scripts; one small script keeps some of them up to date. */
import { type ErrorRequestHandler, Router } from 'express';
import { problemOf } from '../http/errors.js';
import { assignmentPages } from './assignments.js';
import { auditPages } from './audit.js';
import { changePages } from './changes.js';
import { closedLoopPages } from './closed-loop.js';
import { commandPages } from './commands.js';
import { compliancePages } from './compliance.js';
import { endpointPages } from './endpoints.js';
import { findingPages } from './findings.js';
import { goldStandardPages } from './gold-standards.js';
import { homePages } from './home.js';
import { incidentPages } from './incidents.js';
import { remediatePages } from './remediate.js';
import { type ConsoleDeps, createShell, type Shell } from './shell.js';
import { zeroDayPages } from './zero-days.js';

export function consolePages(deps: ConsoleDeps): Router {
  const shell = createShell(deps);
  const router = Router();
  router.use(homePages(deps, shell));
  router.use(commandPages(deps, shell));
  router.use(changePages(deps, shell));
  router.use(closedLoopPages(deps, shell));
  router.use(assignmentPages(deps, shell));
  router.use(compliancePages(deps, shell));
  router.use(goldStandardPages(deps, shell));
  router.use(remediatePages(deps, shell));
  router.use(incidentPages(deps, shell));
  router.use(findingPages(deps, shell));
  router.use(endpointPages(deps, shell));
  router.use(zeroDayPages(deps, shell));
  router.use(auditPages(deps, shell));
  router.use(sayWhatIsWrong(shell));
  return router;
}

/** What we told on purpose is told as a page; everything else is the app's to handle. */
function sayWhatIsWrong(shell: Shell): ErrorRequestHandler {
  return async (error: unknown, req, res, next) => {
    const problem = problemOf(error);
    if (problem === null || problem.status >= 500 || res.headersSent || !req.accepts('html')) {
      next(error);
      return;
    }
    const title = problem.status === 404 ? 'Nothing here' : problem.options.title;
    const data = { text: `${problem.message}.`, tone: 'bad', link: { href: '/', text: 'Home' } };
    await shell.show(req, res, { view: 'notice', title, current: '', status: problem.status, data });
  };
}

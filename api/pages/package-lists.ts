/** What an approver may look up of a rule that installs a package: every file that may come with it. */
import { Router } from 'express';
import { readPackagesBrought } from '../../db/baseline/brings.js';
import { notFound } from '../http/problem.js';
import type { ConsoleDeps, Shell } from './shell.js';

export function packageListPages({ pool }: ConsoleDeps, shell: Shell): Router {
  const router = Router();
  router.get('/package-lists/:sha256', shell.needs('change.read'), async (req, res) => {
    const { sha256 } = req.params;
    const packages = typeof sha256 === 'string' ? await readPackagesBrought(pool, sha256) : null;
    if (packages === null) throw notFound('list of packages that a plan of late names');
    const data = { sha256, packages };
    await shell.show(req, res, { view: 'package-list', title: 'Packages that may come', current: '/changes', data });
  });
  return router;
}

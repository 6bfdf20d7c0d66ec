/**
 * `/docs`: the OpenAPI document to read and try, by Swagger UI out of node_modules. Open to all, as the document is; what
 * is tried there needs a token, or the session of whoever is signed in. It has the only scripts there are, all from
 * here, and loads nothing from elsewhere.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { type RequestHandler, Router } from 'express';
import helmet from 'helmet';
import { webDirectory } from '../http/pages.js';

const ASSETS = ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png'];

export function docsRoutes(): Router {
  const ui = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
  const router = Router();
  router.use(
    '/docs',
    helmet.contentSecurityPolicy({
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        // Its style sheet draws arrows from data: URLs.
        imgSrc: ["'self'", 'data:'],
        connectSrc: ["'self'"],
        formAction: ["'none'"],
        frameAncestors: ["'none'"],
        baseUri: ["'none'"],
      },
    }),
  );
  router.get('/docs', file(join(webDirectory, 'docs.html')));
  router.get('/docs/start.js', file(join(webDirectory, 'docs.js')));
  for (const name of ASSETS) router.get(`/docs/${name}`, file(join(ui, name)));
  return router;
}

function file(path: string): RequestHandler {
  return (_req, res) => void res.set('cache-control', 'max-age=300').sendFile(path, { dotfiles: 'allow' });
}

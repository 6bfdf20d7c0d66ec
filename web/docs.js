// Starts Swagger UI on /docs. A file of its own, because the page's policy allows no inline script.
window.SwaggerUIBundle({
  url: '/v1/openapi.json',
  dom_id: '#docs',
  deepLinking: true,
  docExpansion: 'none',
  displayRequestDuration: true,
  // Would send the document to a server elsewhere.
  validatorUrl: null,
  persistAuthorization: false,
});

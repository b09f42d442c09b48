"""From records to questions answered: tables, figures and pages. Alone knows matplotlib and Jinja2."""

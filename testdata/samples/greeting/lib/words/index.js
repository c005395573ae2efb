'use strict'

module.exports = {
  en: 'Hello',
  de: require('./de'),
  eo: require('./eo'),
  sv: require('./sv')
}
